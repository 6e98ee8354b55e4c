"""The demo's own server process, and plain HTTP to it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

START_SECONDS = 60
"""A first start makes the database; on two busy cores that is a few seconds."""


class DemoFailed(Exception):
    """A step did not do what the story needs, said in one line."""


class DemoServer:
    """`quintet up` on a data folder of its own, which is fresh but for the cache of trained base models."""

    def __init__(self, data: Path, port: int) -> None:
        self.data = data
        self.url = f"http://127.0.0.1:{port}"
        self.port = port
        self.key = self.access_key = self.secret_key = ""
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Starts the server and reads the key that it shows once."""
        self._clear()
        log = (self.data.parent / "server.log").open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "quintet.cli.main", "up", "--data", str(self.data), "--port", str(self.port),
             "--log-level", "warning"],
            stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        shown: list[str] = []
        for line in self.process.stdout:
            shown.append(line)
            if line.startswith("export INFERENCE_API_KEY"):
                break
        text = "".join(shown)
        variables = dict(re.findall(r"^export (\w+)=(.*)$", text, re.MULTILINE))
        if "ADAPTIVE_API_KEY" not in variables:
            raise DemoFailed(f"the server did not start; see {self.data.parent / 'server.log'}")
        self.key = variables["ADAPTIVE_API_KEY"]
        self.access_key, self.secret_key = variables["CLEARML_API_ACCESS_KEY"], variables["CLEARML_API_SECRET_KEY"]
        self._await_health()

    def _clear(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        for entry in self.data.iterdir():
            if entry.name == "cache":
                continue
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    def _await_health(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                if self.http("GET", "/health")["status"] == "OK":
                    return
            except (OSError, DemoFailed):
                time.sleep(0.2)
        raise DemoFailed(f"the server did not answer within {START_SECONDS} s")

    def stop(self) -> None:
        """Ends the server and its workers in good order."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                self.process.kill()

    def wait(self) -> None:
        """Until the server ends by itself (Ctrl-C reaches it too)."""
        if self.process is not None:
            self.process.wait()

    def http(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, domino: bool = False
    ) -> Any:
        """One request with the admin's key (or `key`), Domino's header where asked; the JSON of the answer."""
        secret = key or self.key
        headers = {"Content-Type": "application/json"}
        headers.update({"X-Domino-Api-Key": secret} if domino else {"Authorization": f"Bearer {secret}"})
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=90) as reply:
                raw = reply.read()
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace")[:500]
            raise DemoFailed(f"{method} {path} answered {error.code}: {said}") from error
        return json.loads(raw) if raw else None

    def cli(self, *arguments: str) -> Any:
        """A `quintet` command beside the running server, with `--json`."""
        done = subprocess.run(
            [sys.executable, "-m", "quintet.cli.main", *arguments, "--data", str(self.data), "--json"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise DemoFailed(f"quintet {' '.join(arguments)}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def client_environment(self) -> dict[str, str]:
        """What the clients need to find the server, and nothing of the user's own configuration."""
        home = self.data.parent / "client-home"
        home.mkdir(parents=True, exist_ok=True)
        # The SDK looks at the git repository in a thread while it forks its reporting process; a fork in the middle
        # of that thread's own fork leaves it waiting for ever. Looking first avoids it, and so does reporting from a
        # thread, which also closes a task at once: the reporting process is only heard every five seconds.
        settings = "sdk { development { vcs_repo_detect_async: false, report_use_subprocess: false } }"
        (home / "clearml.conf").write_text(f"{settings}\n")
        keep = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE")}
        return {
            **keep,
            "HOME": str(home),
            "CLEARML_CONFIG_FILE": str(home / "clearml.conf"),
            "CLEARML_API_HOST": self.url,
            "CLEARML_WEB_HOST": self.url,
            "CLEARML_FILES_HOST": f"{self.url}/files",
            "CLEARML_API_ACCESS_KEY": self.access_key,
            "CLEARML_API_SECRET_KEY": self.secret_key,
            "MPLCONFIGDIR": str(home),
            "PYTHONUNBUFFERED": "1",
        }
