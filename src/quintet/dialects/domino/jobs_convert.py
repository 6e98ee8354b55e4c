"""Runs as jobs: what state and command they show, and what a command starts."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Sequence
from typing import Any

import msgspec

from quintet.app.runs.create import CreateRun
from quintet.app.runs.numbered import NumberedRun
from quintet.dialects.domino.binder import DIALECT
from quintet.dialects.domino.envelope import when
from quintet.dialects.domino.ids import series_name
from quintet.domain.errors import Invalid
from quintet.domain.events import LogLine
from quintet.domain.runs import ENDED, Run, RunKind, RunState

JsonObject = dict[str, Any]

STATUS: dict[RunState, str] = {
    RunState.CREATED: "Pending",
    RunState.QUEUED: "Queued",
    RunState.RUNNING: "Running",
    RunState.STOPPED: "Stopped",
    RunState.CLOSED: "Succeeded",
    RunState.FAILED: "Failed",
    RunState.COMPLETED: "Succeeded",
    RunState.PUBLISHING: "Succeeded",
    RunState.PUBLISHED: "Succeeded",
}
COMMAND_RECIPE = "command"
"""What the recipe of a run is called that executes a command of its own."""

KINDS = {"pretrain": RunKind.PRETRAIN, "sft": RunKind.SFT, "dpo": RunKind.DPO, "evaluate": RunKind.EVALUATE}
ERRORS = frozenset({"error", "critical", "fatal", "stderr"})


def command_of(run: Run) -> str:
    """The command that would start the run again."""
    given = run.detail.get(DIALECT, {}).get("runCommand")
    if given:
        return str(given)
    command = run.script.get("command")
    if isinstance(command, list):
        return shlex.join(str(part) for part in command)
    if run.recipe:
        return f"quintet recipe {run.recipe} {json.dumps(run.args)}"
    return str(run.script.get("entry_point") or "")


def parse_command(text: str) -> tuple[str, JsonObject, JsonObject]:
    """(recipe, args, script) of a command: `quintet recipe NAME {json}`, or a program with its arguments.

    No shell reads it: what a shell would expand goes to the program as it is written. Invalid names `runCommand`.
    """
    stripped = text.strip()
    if stripped.startswith("quintet recipe "):
        name, _, rest = stripped.removeprefix("quintet recipe ").strip().partition(" ")
        try:
            args = msgspec.json.decode(rest.strip().strip("'") or "{}", type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError):
            # The body itself was read; its error would make this look like a body that was not.
            raise Invalid("the arguments of a recipe are one JSON object", field="runCommand") from None
        return name, args, {}
    try:
        parts = shlex.split(stripped)
    except ValueError as error:
        raise Invalid(f"the command cannot be read: {error}", field="runCommand") from error
    if not parts:
        raise Invalid("a command is required", field="runCommand")
    return COMMAND_RECIPE, {}, {"command": parts}


def new_run(text: str, title: str | None, detail: JsonObject) -> CreateRun:
    """The run that a command starts."""
    recipe, args, script = parse_command(text)
    kind = KINDS.get(recipe, RunKind.CUSTOM)
    own = {"runCommand": text, **detail}
    return CreateRun(
        title or text.strip()[:100], kind, "job", recipe=recipe, args=args, script=script, detail={DIALECT: own}
    )


def job_shown(item: NumberedRun) -> JsonObject:
    """JobV1."""
    run = item.run
    own = run.detail.get(DIALECT, {})
    stats = [{"name": series_name(r.metric, r.variant), "value": f"{r.last_value:g}"} for r in item.rollups]
    return {
        "id": run.id,
        "number": item.number,
        "title": run.name,
        "runCommand": command_of(run),
        "startedById": run.created_by,
        "status": status_of(run),
        "stageTimes": {
            "submissionTime": when(run.created_at),
            "startTime": when(run.started_at),
            "completedTime": when(run.ended_at),
        },
        "dominoStats": stats,
        "commitDetails": {"inputCommitId": own.get("commitId"), "outputCommitId": None},
        "computeCluster": None,
        "datasetMounts": [],
        "externalVolumeMounts": [],
        "gitRepos": [],
        "mainRepoGitRef": own.get("mainRepoGitRef"),
        "projects": [{"projectId": run.project_id, "commitId": None}] if run.project_id else [],
        "runLauncherId": None,
        "usage": None,
    }


def job_details(item: NumberedRun) -> JsonObject:
    """JobDetailsV1."""
    run = item.run
    waiting = run.state is RunState.QUEUED
    return {
        **job_shown(item),
        "commentsCount": 1 if run.comment else 0,
        "goalIds": run.detail.get(DIALECT, {}).get("goalIds", []),
        "queuedJobStatusDetails": _WAITING if waiting else None,
        "tags": [tag_shown(run, tag) for tag in run.tags],
    }


_WAITING = {"explanation": "The job waits for a worker.", "expectedWait": None, "helpText": None}


def status_of(run: Run) -> JsonObject:
    stopping = run.state is RunState.RUNNING and run.stop_requested
    return {
        "executionStatus": "Stopping" if stopping else STATUS[run.state],
        "isCompleted": run.state in ENDED,
        "isArchived": "archived" in run.system_tags,
        "isScheduled": False,
    }


def tag_id(name: str) -> str:
    """Tags are words here and have ids there: the id is made of the word."""
    return hashlib.blake2b(name.encode(), digest_size=12).hexdigest()


def tag_shown(run: Run, name: str) -> JsonObject:
    return {"id": tag_id(name), "name": name, "creatorId": run.created_by, "createdAt": when(run.created_at)}


def log_type(line: LogLine) -> str:
    return "stdErr" if line.level.lower() in ERRORS else "stdOut"


def log_shown(lines: Sequence[LogLine]) -> list[JsonObject]:
    return [
        {"log": x.msg, "logType": log_type(x), "size": len(x.msg.encode()), "timestamp": when(x.ts)} for x in lines
    ]
