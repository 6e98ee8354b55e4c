"""`report.json`, and `report.html` with its plots drawn as inline SVG: one file that opens anywhere."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from quintet.demo.steps import Story
from quintet.domain.statistics import wilson_interval

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 640, 300, 56, 40, 14
COLOURS = ("#2563eb", "#dc2626", "#059669", "#9333ea", "#d97706")
STYLE = """
:root { color-scheme: light dark }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
td, th { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #8884 }
td.n { text-align: right; font-variant-numeric: tabular-nums } svg { width: 100%; height: auto } pre { overflow: auto }
svg text { fill: currentColor; font: 12px system-ui } .axis { stroke: currentColor; opacity: .4 }
"""

Point = tuple[float, float]


def write_report(folder: Path, story: Story, failure: str) -> dict[str, Any]:
    """Writes both files, as far as the story got, and returns what is in the first."""
    facts = story.facts
    evaluations = facts.get("judge", {}).get("evaluations", {})
    compare = facts.get("compare", {})
    report: dict[str, Any] = {
        "steps": [
            {"name": s.name, "dialect": s.dialect, "client": s.client, "seconds": s.seconds, "ok": s.ok}
            for s in story.steps
        ],
        "accuracy": {name: found["accuracy"] for name, found in evaluations.items()},
        "ab": {
            "pValue": compare.get("p_value"),
            "winner": compare.get("default"),
            "feedbacks": compare.get("feedbacks"),
        },
        "cross": facts.get("cross", {}),
        "govern": facts.get("govern", {}),
    }
    if failure:
        report["failure"] = failure
    (folder / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    (folder / "report.html").write_text(_page(report, facts, evaluations))
    return report


def _page(report: dict[str, Any], facts: dict[str, Any], evaluations: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(s['name'])}<td>{s['dialect']}<td>{s['client']}<td class=n>{s['seconds']:.1f}"
        f"<td>{'yes' if s['ok'] else 'no'}"
        for s in report["steps"]
    )
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>Quintet: the demo</title>",
        f"<meta name=viewport content='width=device-width'><style>{STYLE}</style><h1>The whole life of a model</h1>",
        f"<table><tr><th>step<th>API<th>client<th>seconds<th>done</tr>{rows}</table>",
    ]
    if "pretrain" in facts:
        loss = facts["pretrain"]["loss"]
        parts += ["<h2>Pretraining</h2>", lines({"loss": _points(loss["x"], loss["y"])}, "step", "loss")]
    if "improve" in facts:
        for name in ("sft", "dpo"):
            series = facts["improve"][name]["series"].get("loss", {})
            drawn = {variant: _points(*xy) for variant, xy in series.items()}
            parts += [f"<h2>{name.upper()}</h2>", lines(drawn, "step", "loss")]
    if evaluations:
        parts += ["<h2>Accuracy on held-out dates, with 95 % intervals</h2>", _accuracies(evaluations)]
    if "compare" in facts:
        parts += ["<h2>The A/B test: confidence sequences</h2>", _sequence(facts["compare"]["path"])]
        p_values = [(float(p["n"]), p["p"]) for p in facts["compare"]["path"] if p["p"] is not None]
        parts += ["<h2>Its p-value, valid at every look</h2>", lines({"p": p_values}, "feedbacks", "p")]
    if report["cross"]:
        parts += ["<h2>One thing, five views</h2>", f"<pre>{html.escape(json.dumps(report['cross'], indent=2))}</pre>"]
    return "\n".join(parts)


def _points(x: Sequence[float], y: Sequence[float]) -> list[Point]:
    return [(float(a), float(b)) for a, b in zip(x, y, strict=True)]


class _Frame:
    """Maps values to the drawing and draws its axes."""

    def __init__(self, points: Sequence[Point], x_label: str, y_label: str) -> None:
        xs, ys = [p[0] for p in points] or [0.0, 1.0], [p[1] for p in points] or [0.0, 1.0]
        self.x0, self.x1 = min(xs), max(max(xs), min(xs) + 1e-9)
        self.y0, self.y1 = min(0.0, min(ys)), max(max(ys), 1e-9)
        self.labels = (x_label, y_label)

    def at(self, point: Point) -> tuple[float, float]:
        x = LEFT + (point[0] - self.x0) / (self.x1 - self.x0) * (WIDTH - LEFT - 10)
        y = HEIGHT - BOTTOM - (point[1] - self.y0) / (self.y1 - self.y0) * (HEIGHT - BOTTOM - TOP)
        return round(x, 1), round(y, 1)

    def wrap(self, body: str) -> str:
        ticks = []
        for share in (0.0, 0.5, 1.0):
            y_value = self.y0 + share * (self.y1 - self.y0)
            x_value = self.x0 + share * (self.x1 - self.x0)
            _, y = self.at((self.x0, y_value))
            x, _ = self.at((x_value, self.y0))
            ticks.append(f"<text x={LEFT - 8} y={y + 4} text-anchor=end>{y_value:.3g}</text>")
            ticks.append(f"<text x={x} y={HEIGHT - BOTTOM + 18} text-anchor=middle>{x_value:.4g}</text>")
        floor = HEIGHT - BOTTOM
        axes = f"<path class=axis fill=none d='M{LEFT} {TOP}V{floor}H{WIDTH - 10}'/>"
        names = (
            f"<text x={WIDTH / 2} y={HEIGHT - 4} text-anchor=middle>{html.escape(self.labels[0])}</text>"
            f"<text x=12 y={TOP} >{html.escape(self.labels[1])}</text>"
        )
        return f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' role=img>{axes}{''.join(ticks)}{names}{body}</svg>"


def lines(series: dict[str, list[Point]], x_label: str, y_label: str) -> str:
    """A line for each series."""
    frame = _Frame([p for points in series.values() for p in points], x_label, y_label)
    body = []
    for number, (name, points) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{x},{y}" for x, y in map(frame.at, points))
        body.append(f"<polyline fill=none stroke='{colour}' stroke-width=1.5 points='{path}'/>")
        body.append(f"<text x={LEFT + 12 + 130 * number} y={TOP + 4} style='fill:{colour}'>{html.escape(name)}</text>")
    return frame.wrap("".join(body))


def _accuracies(evaluations: dict[str, Any]) -> str:
    frame = _Frame([(-0.5, 0.0), (len(evaluations) - 0.5, 1.0)], "model", "share right")
    body = []
    for number, (name, found) in enumerate(evaluations.items()):
        right = round(found["accuracy"] * found["rows"])
        low, high = wilson_interval(right, found["rows"])
        x, y = frame.at((number, found["accuracy"]))
        _, top = frame.at((number, high))
        _, bottom = frame.at((number, low))
        colour = COLOURS[number % len(COLOURS)]
        body.append(f"<path stroke='{colour}' stroke-width=2 d='M{x} {top}V{bottom}'/>")
        body.append(f"<circle cx={x} cy={y} r=5 fill='{colour}'/>")
        body.append(f"<text x={x + 10} y={y - 6}>{html.escape(name)} {found['accuracy']:.1%}</text>")
    return frame.wrap("".join(body))


def _sequence(path: list[dict[str, Any]]) -> str:
    """The mean of each variant after each feedback, inside its confidence sequence."""
    names = sorted({v for p in path for v in p["variants"]})
    frame = _Frame([(0.0, 0.0), (float(len(path)), 1.0)], "feedbacks", "share right")
    body = []
    for number, name in enumerate(names):
        colour = COLOURS[number % len(COLOURS)]
        known = [(float(p["n"]), p["variants"][name]) for p in path if p["variants"].get(name)]
        upper = [frame.at((n, v[2])) for n, v in known]
        lower = [frame.at((n, v[0])) for n, v in reversed(known)]
        middle = " ".join(f"{x},{y}" for x, y in (frame.at((n, v[1])) for n, v in known))
        area = " ".join(f"{x},{y}" for x, y in upper + lower)
        body.append(f"<polygon fill='{colour}' opacity=.18 points='{area}'/>")
        body.append(f"<polyline fill=none stroke='{colour}' stroke-width=2 points='{middle}'/>")
        body.append(f"<text x={LEFT + 12 + 150 * number} y={TOP + 4} style='fill:{colour}'>{html.escape(name)}</text>")
    return frame.wrap("".join(body))
