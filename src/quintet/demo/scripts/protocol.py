"""How a step's script talks to the story: JSON in on stdin, JSON lines out on a descriptor of its own.

The scripts run in the environment that has the real clients and does not have Quintet, so this file stands alone.
Stdout is left to the clients, which print as they please.
"""

import json
import os
import sys
from typing import Any

_out = os.fdopen(int(os.environ["QUINTET_DEMO_FD"]), "w", buffering=1)


def arguments() -> dict[str, Any]:
    """What the story gave to this step."""
    given = json.load(sys.stdin)
    assert isinstance(given, dict)
    return given


def progress(done: int, total: int, text: str = "") -> None:
    """Moves the progress bar of the step."""
    _out.write(json.dumps({"progress": [done, total, text]}) + "\n")


def result(value: dict[str, Any]) -> None:
    """What the step found; the last one counts."""
    _out.write(json.dumps({"result": value}) + "\n")
