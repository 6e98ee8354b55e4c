"""What a worker says: give me a run, I am alive, this is what it printed, this is how it ended."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request

from quintet.app.services import authenticator
from quintet.app.work import leases
from quintet.app.work.leases import LeasedRun, Outcome
from quintet.app.work.tokens import run_token
from quintet.dialects.kit.call import Call
from quintet.dialects.runner import wire
from quintet.dialects.runner.binder import binder
from quintet.dialects.runner.waiting import waiters
from quintet.domain.errors import Invalid, Unavailable
from quintet.domain.events import LogLine
from quintet.domain.ids import Id, parse_id

MAX_WAIT = 60.0
"""Seconds that a worker may wait in one call: proxies on the way close calls that are silent for longer."""


@binder.op("lease", body=wire.LeaseBody)
async def lease(call: Call) -> dict[str, Any]:
    """`{"lease": {...}}`, or `{"lease": null}` where none came up in `wait_seconds`."""
    body: wire.LeaseBody = call.body
    if not 0 <= body.wait_seconds <= MAX_WAIT:
        raise Invalid(f"'wait_seconds' is 0 to {MAX_WAIT:g}", field="wait_seconds")
    everyone = waiters(call.core)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + body.wait_seconds
    event = everyone.enter()
    hung_up = asyncio.ensure_future(_hang_up(call.request))
    hung_up.add_done_callback(lambda _: event.set())
    try:
        found = await call.write(leases.lease_next, body.worker, body.queues, body.seconds)
        while found is None and (left := deadline - loop.time()) > 0:
            await everyone.pause(event, left)
            if everyone.closed:
                raise Unavailable("the server is shutting down")
            # A run given to a worker that has hung up would wait for its lease to expire.
            if hung_up.done():
                break
            if await call.read(leases.has_work, body.queues):
                found = await call.write(leases.lease_next, body.worker, body.queues, body.seconds)
    finally:
        hung_up.cancel()
        everyone.leave(event)
    return {"lease": None if found is None else _shown(call, found)}


async def _hang_up(request: Request) -> None:
    """Until the worker has closed the connection; its body has been read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _shown(call: Call, leased: LeasedRun) -> dict[str, Any]:
    run, script = leased.run, leased.run.script
    code = script.get("code")
    file, text = (code.get("file"), code.get("text")) if isinstance(code, dict) else (None, None)
    return {
        "run_id": run.id,
        "token": leased.lease.token,
        "run_token": run_token(authenticator(call.core), leased),
        "attempt": leased.lease.attempt,
        "recipe": run.recipe,
        "args": run.args,
        "name": run.name,
        "code": {"file": file or "recipe.py", "text": text} if isinstance(text, str) else None,
        "command": script.get("command"),
    }


def run_id_of(text: str) -> Id:
    found = parse_id(text)
    if found is None:
        raise Invalid("this is not the id of a run", field="run_id")
    return found


@binder.op("heartbeat", body=wire.HeartbeatBody)
async def heartbeat(call: Call) -> dict[str, Any]:
    """`{"stop": whether the run was asked to stop}`."""
    body: wire.HeartbeatBody = call.body
    beat = await call.write(leases.heartbeat, run_id_of(body.run_id), body.token, body.seconds)
    return {"stop": beat.stop}


@binder.op("finish", body=wire.FinishBody)
async def finish(call: Call) -> dict[str, Any]:
    """`{"state": what the run is now}`."""
    body: wire.FinishBody = call.body
    outcome = Outcome(body.outcome)
    run = await call.write(leases.finish, run_id_of(body.run_id), body.token, outcome, body.reason)
    return {"state": str(run.state)}


@binder.op("logs", body=wire.LogsBody)
async def logs(call: Call) -> dict[str, Any]:
    """Adds lines to the run's log: `{"lines": how many}`."""
    body: wire.LogsBody = call.body
    run_id = run_id_of(body.run_id)
    lines = [LogLine(line.ts * 1_000, line.level, body.worker, line.msg) for line in body.lines]
    return {"lines": await call.write(leases.report_lines, run_id, body.token, lines, body.start)}
