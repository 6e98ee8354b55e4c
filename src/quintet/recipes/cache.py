"""Pretrained models kept on the machine, so that the same training is paid for once.

Where `QUINTET_CACHE_DIR` is set (a server sets it for its own workers, to a folder of its data folder), a finished
pretraining is kept under a hash of everything that decides its outcome, with the points of its curves. The run that
asks for it again reports those points as its own and says where they come from.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from quintet import __version__
from quintet.trainers.pretrain import Pretrained
from quintet.trainers.report import Report

FOLDER = "QUINTET_CACHE_DIR"


class Kept:
    """Passes a trainer's reports on and remembers the points."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self.points: list[tuple[str, str, float, int]] = []

    def metric(self, metric: str, variant: str, value: float, step: int) -> None:
        self.points.append((metric, variant, value, step))
        self._report.metric(metric, variant, value, step)

    def progress(self, done: int, total: int | None) -> None:
        self._report.progress(done, total)

    def checkpoint(self, folder: Path, step: int, epoch: float, metrics: Mapping[str, float]) -> None:
        self._report.checkpoint(folder, step, epoch, metrics)

    def say(self, text: str) -> None:
        self._report.say(text)


def cached(decides: Mapping[str, Any], work_dir: Path, report: Report, train: Callable[[Report], Pretrained]) -> Pretrained:
    """What `train` gives, or what it gave before for the same `decides` (JSON) on this machine."""
    root = os.environ.get(FOLDER)
    if not root:
        return train(report)
    entry = Path(root) / "pretrained" / _key(decides)
    if (entry / "done.json").is_file():
        return _replay(entry, work_dir, report)
    kept = Kept(report)
    made = train(kept)
    _store(entry, made, kept.points)
    return made


def _key(decides: Mapping[str, Any]) -> str:
    # The corpus may be the standard library of this very Python, so its version decides too.
    facts = {"quintet": __version__, "python": platform.python_version(), **decides}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def _store(entry: Path, made: Pretrained, points: list[tuple[str, str, float, int]]) -> None:
    """`done.json` is written last: an entry without it was interrupted and is made again."""
    shutil.rmtree(entry, ignore_errors=True)
    shutil.copytree(made.folder, entry / "model")
    facts = {
        "steps": made.steps,
        "parameters": made.parameters,
        "train_loss": made.train_loss,
        "validation_loss": made.validation_loss,
        "points": points,
    }
    (entry / "done.json").write_text(json.dumps(facts))


def _replay(entry: Path, work_dir: Path, report: Report) -> Pretrained:
    facts = json.loads((entry / "done.json").read_text())
    report.say(f"this very training was done on this machine before; its model and its curves are taken from {entry}")
    folder = work_dir / "model"
    shutil.copytree(entry / "model", folder, dirs_exist_ok=True)
    for metric, variant, value, step in facts["points"]:
        report.metric(metric, variant, value, step)
    report.progress(facts["steps"], facts["steps"])
    return Pretrained(folder, facts["steps"], facts["parameters"], facts["train_loss"], facts["validation_loss"])
