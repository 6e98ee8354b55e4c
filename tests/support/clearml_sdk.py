"""A `clearml.conf` for tests, around a race inside the SDK.

The SDK scans the git repository in a thread while it forks its reporting process. A fork in the middle of that
thread's own fork keeps a pipe open, and the thread, and with it `Task.close`, waits for ever. Scanning before, and
reporting from a thread, leaves everything that goes over the wire as it is.
"""

from __future__ import annotations

from pathlib import Path

SETTINGS = "sdk { development { vcs_repo_detect_async: false, report_use_subprocess: false } }\n"


def settings_in(folder: Path) -> dict[str, str]:
    """Writes the file and gives the variable that names it."""
    path = folder / "clearml.conf"
    path.write_text(SETTINGS)
    return {"CLEARML_CONFIG_FILE": str(path)}
