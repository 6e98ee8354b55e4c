"""The story of `quintet demo`, in twelve steps. Nothing in it is fixed beforehand: every figure is measured."""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from quintet.demo.dates import held_out_pairs, training_pairs
from quintet.demo.report import write_report
from quintet.demo.server import DemoFailed, DemoServer
from quintet.demo.steps import Bars, Story

BASE = "stdlib-lm"
TAG = "research"
PRETRAIN = {"max_seconds": 25, "seed": 0}
SFT = {"epochs": 8, "max_steps": 100_000, "batch_size": 64, "lr": 3e-3, "warmup": 50, "budget": 110}
DPO = {"epochs": 1, "max_steps": 100_000, "batch_size": 16, "lr": 2e-5, "warmup": 4, "beta": 0.1, "budget": 40}
TRAINING = 6_000
ASKED = 200
HELD_OUT = 300
COMPARED = 300


def run_demo(out: str, data: str, port: int, python: str) -> int:
    """Tells the story; 0 where every step did what it says."""
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    # Not resolved: a virtual environment is found by the path of its own link to the interpreter.
    clients = str(Path(python).absolute()) if "/" in python else (shutil.which(python) or "")
    if not Path(clients).exists():
        print(f"quintet demo: there are no clients at {python}; `make clients` installs them")
        return 1
    server = DemoServer(Path(data).absolute(), port)
    failure = ""
    with Bars() as bars:
        story = Story(server, clients, bars)
        try:
            _tell(story)
        except DemoFailed as error:
            failure = str(error)
        except KeyboardInterrupt:
            failure = "interrupted"
    report = write_report(folder, story, failure)
    if failure:
        print(f"\nquintet demo: step '{story.steps[-1].name}' failed: {failure}")
        server.stop()
        return 1
    _show(report, folder)
    return _leave_running(server)


def _leave_running(server: DemoServer) -> int:
    if os.environ.get("DEMO_EXIT") == "1":
        server.stop()
        return 0
    print(f"\nThe server is still running on {server.url}; the administrator's key is {server.key}\nCtrl-C stops it.")
    try:
        server.wait()
    except KeyboardInterrupt:
        server.stop()
    return 0


def _tell(story: Story) -> None:
    server = story.server
    story.step("up", "Start the server on a fresh data folder", "-", "quintet up", lambda: _start(server))
    story.step("tag", "Book what follows under a billing tag", "domino", "HTTP", lambda: _billing_tag(server))
    story.step("track", "Track three models of the digits", "clearml", "clearml", lambda: story.script("track"))
    args = {**PRETRAIN, "output_model": BASE}
    story.step(
        "pretrain", "Train a base language model from the standard library", "adaptive + clearml",
        "adaptive-sdk, clearml", lambda: story.script("pretrain", args=args),
    )  # fmt: skip
    story.step("review", "Register it, and review it to a stage", "domino", "HTTP", lambda: _review(server))
    first = held_out_pairs(1, 1)[0]
    story.step(
        "serve", "Attach it to a use case and chat", "adaptive + llama_stack", "adaptive-sdk, openai",
        lambda: story.script("serve", model=BASE, prompt=first.prompt),
    )  # fmt: skip
    _tag_project(server, "dates")
    pairs = [list(p) for p in training_pairs(TRAINING, 2)]
    story.step(
        "feedback", "Log answers, scores and preferences", "adaptive", "adaptive-sdk",
        lambda: story.script("feedback", pairs=pairs, asked=ASKED),
    )  # fmt: skip
    story.step(
        "dataset", "Build datasets from them, read the rows elsewhere", "adaptive + llama_stack",
        "GraphQL, llama-stack-client", lambda: story.script("dataset"),
    )  # fmt: skip
    story.step(
        "improve", "Fine-tune, then tune by preference", "llama_stack", "llama-stack-client",
        lambda: story.script("improve", model=BASE, sft=SFT, dpo=DPO),
    )  # fmt: skip
    held_out = [list(p) for p in held_out_pairs(HELD_OUT, 3)]
    models = {"base": BASE, "sft": "dates-sft", "dpo": "dates-dpo"}
    story.step(
        "judge", "Evaluate all three on held-out dates", "llama_stack + inference", "llama-stack-client, HTTP",
        lambda: _judge(story, held_out, models),
    )  # fmt: skip
    asked = [list(p) for p in held_out_pairs(COMPARED, 4)]
    story.step(
        "compare", "Compare base and tuned until the test ends", "adaptive", "adaptive-sdk",
        lambda: story.script("compare", base=BASE, tuned="dates-dpo", pairs=asked),
    )  # fmt: skip
    story.step("govern", "Read cost by tag, and the call log", "domino + inference", "HTTP", lambda: _govern(server))
    story.step(
        "cross", "See one model, dataset and run through every API", "all", "all", lambda: _cross(story)
    )  # fmt: skip


def _start(server: DemoServer) -> dict[str, Any]:
    server.start()
    return {"url": server.url}


def _billing_tag(server: DemoServer) -> dict[str, Any]:
    made = server.http("POST", "/api/cost/v1/billingtags", {"billingTags": [TAG]}, domino=True)
    return {"tags": [t["tag"] for t in made["billingTags"]]}


def _tag_project(server: DemoServer, name: str) -> None:
    project = _project(server, name)
    server.http("POST", f"/v4/projects/{project}/billingtag", {"tag": TAG}, domino=True)


def _project(server: DemoServer, name: str) -> str:
    listed = server.http("GET", "/api/projects/beta/projects?limit=100", domino=True)["projects"]
    found = [p["id"] for p in listed if p["name"].lower() == name.lower()]
    if not found:
        raise DemoFailed(f"Domino's list of projects has no '{name}': {[p['name'] for p in listed]}")
    return str(found[0])


def _review(server: DemoServer) -> dict[str, Any]:
    """The model that the run has registered is described, reviewed by a second person, and staged."""
    reviewer = server.cli("user", "create", "--email", "reviewer@example.org", "--name", "Reviewer", "--role", "admin")
    key = server.cli("key", "create", "--user", "reviewer@example.org", "--label", "review")["key"]
    path = f"/api/registeredmodels/v1/{BASE}"
    about = {"description": "A small language model of Python's standard library", "discoverable": True}
    server.http("PATCH", path, about, domino=True)
    registered = server.http("GET", path, domino=True)
    version = f"{path}/versions/{registered['latestVersion']}"
    people = [{"userId": reviewer["id"]}]
    asked = {"targetStage": "Staging", "notes": "trained today; please look at its loss", "reviewers": people}
    server.http("POST", f"{version}/reviews", asked, domino=True)
    review = server.http("GET", version, domino=True)["reviewSummary"]
    decision = {"decision": "Approved", "notes": "the loss falls"}
    server.http("POST", f"{version}/reviews/{review['modelReviewId']}/responses", decision, key=key, domino=True)
    staged = server.http("PATCH", version, {"currentStage": "Staging"}, domino=True)
    if staged["currentStage"] != "Staging":
        raise DemoFailed(f"the version is at the stage {staged['currentStage']}")
    return {"stage": staged["currentStage"], "version": registered["latestVersion"], "run": staged["experimentRunId"]}


def _judge(story: Story, pairs: list[list[str]], models: dict[str, str]) -> dict[str, Any]:
    found = story.script("judge", pairs=pairs, models=models)
    board = story.server.http("GET", "/inference/v1/leaderboards?limit=100")
    rows = [r for r in board["data"] if r["checkpoint_name"] in models.values()]
    if len(rows) != len(models):
        raise DemoFailed(f"the leaderboard shows {[r['checkpoint_name'] for r in board['data']]}")
    return {**found, "leaderboard": rows}


def _govern(server: DemoServer) -> dict[str, Any]:
    query = "window=today&aggregate=label:dominodatalab.com/billing-tag&accumulate=true"
    cost = server.http("GET", f"/api/cost/v1/allocation?{query}", domino=True)["data"]
    summary = server.http("GET", "/inference/v1/inference-logs/summary")
    log = server.http("GET", "/inference/v1/inference-logs?page_size=3")
    return {"cost": cost, "summary": summary, "log": log["data"], "calls": log["count"]}


def _cross(story: Story) -> dict[str, Any]:
    server = story.server
    task = story.facts["improve"]["sft"]["task"]
    found = story.script("cross", model="dates-sft", task=task)
    registered = server.http("GET", "/api/registeredmodels/v1/dates-sft", domino=True)
    found["model"]["domino"] = {"name": registered["name"], "latestVersion": registered["latestVersion"]}
    listed = server.http("GET", "/inference/v1/models")["data"]
    named = [m for m in listed if "dates-sft" in (m.get("name"), m.get("id"))]
    found["model"]["inference"] = {"id": named[0].get("id"), "name": named[0].get("name")} if named else None
    datasets = server.http("GET", "/api/datasetrw/v2/datasets?limit=100", domino=True)["datasets"]
    same = [d["dataset"] for d in datasets if d["dataset"]["name"] == "date-answers"]
    found["dataset"]["domino"] = {"id": same[0]["id"], "name": same[0]["name"]} if same else None
    project = _project(server, "dates")
    jobs = server.http("GET", f"/api/jobs/beta/jobs?projectId={project}&limit=100", domino=True)["jobs"]
    mine = [j for j in jobs if j["title"] == "dates-sft"]
    found["run"]["domino"] = {"id": mine[0]["id"], "status": mine[0]["status"]["executionStatus"]} if mine else None
    trainings = server.http("GET", "/inference/v1/trainings?pageSize=100")["data"]
    mine = [t for t in trainings if t["name"] == "dates-sft"]
    found["run"]["inference"] = {"id": mine[0]["id"], "status": mine[0]["status"]} if mine else None
    blind = [f"{noun} through {d}" for noun, seen in found.items() for d, what in seen.items() if what is None]
    if blind:
        raise DemoFailed(f"not seen: {', '.join(blind)}")
    return found


def _show(report: dict[str, Any], folder: Path) -> None:
    accuracy = report["accuracy"]
    print(f"\n{datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    print("accuracy on held-out dates: " + ", ".join(f"{k} {v:.1%}" for k, v in accuracy.items()))
    ab = report["ab"]
    print(f"A/B test: winner {ab['winner']} after {ab['feedbacks']} feedbacks, p = {ab['pValue']:.2g}")
    for noun, seen in report["cross"].items():
        print(f"the same {noun}:")
        for dialect, what in seen.items():
            print(f"  {dialect:12} {json.dumps(what)}")
    print(f"report: {folder / 'report.json'}, {folder / 'report.html'}")
