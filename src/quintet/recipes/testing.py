"""A server in memory, for tests of recipes: of ours, and of a user's own."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quintet.domain.errors import NotFound
from quintet.recipes.client import Json


@dataclass
class FakeRunClient:
    """A `RunClient` that keeps everything below `folder` and in its fields.

    `datasets` are rows by name. What a run registers can be loaded by a later one with the same client.
    `replies` answers `complete`. With `remote` no model has a local path, so files are fetched.
    """

    folder: Path
    args: Json = field(default_factory=dict)
    datasets: dict[str, list[Json]] = field(default_factory=dict)
    output_model: str | None = None
    replies: Callable[[Json], str] = lambda body: ""
    remote: bool = False
    resume_from: Json | None = None
    attempt: int = 1
    points: list[Json] = field(default_factory=list)
    stages: list[Json] = field(default_factory=list)
    share: float | None = None
    artifacts: dict[str, Json] = field(default_factory=dict)
    checkpoints: list[Json] = field(default_factory=list)
    models: dict[str, Json] = field(default_factory=dict)
    scored: list[Json] = field(default_factory=list)
    results: Json = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def series(self, metric: str, variant: str) -> list[tuple[int, float]]:
        """The points of one series as (step, value)."""
        return [(p["iter"], p["value"]) for p in self.points if (p["metric"], p["variant"]) == (metric, variant)]

    def run(self) -> Json:
        self._called("run")
        return {
            "id": "0" * 23 + "1",
            "name": "test",
            "recipe": "test",
            "args": self.args,
            "attempt": self.attempt,
            "project": None,
            "checkpoint": self.resume_from,
            "output_model": self.output_model,
        }

    def progress(self, stages: Sequence[Json], progress: float | None) -> None:
        self._called("progress")
        self.stages, self.share = list(stages), progress

    def metrics(self, points: Sequence[Json]) -> None:
        self._called("metrics")
        self.points.extend(points)

    def put_file(self, path: str, source: Path) -> Json:
        self._called("put_file")
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        digest = hashlib.sha256(target.read_bytes()).hexdigest()
        return {"key": path, "size": target.stat().st_size, "sha256": digest}

    def get_file(self, path: str, target: Path) -> None:
        self._called("get_file")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.folder / path, target)

    def artifact(self, body: Json) -> None:
        self._called("artifact")
        self.artifacts[body["key"]] = body

    def checkpoint(self, body: Json) -> None:
        self._called("checkpoint")
        self.checkpoints.append(body)

    def register_model(self, body: Json) -> Json:
        self._called("register_model")
        key = body.get("key") or body["name"]
        version = self.models[key]["version"] + 1 if key in self.models else 1
        self.add_model(key, self.folder / body["path"], body["format"], body["backbone"], version, body)
        return {"model_id": f"id-{key}", "key": key, "version": version}

    def add_model(
        self,
        key: str,
        folder: Path,
        format: str = "transformers",
        backbone: str | None = None,
        version: int = 1,
        body: Json | None = None,
    ) -> None:
        """Puts the model in `folder` into the registry."""
        files = [{"path": p.relative_to(folder).as_posix(), "size": p.stat().st_size}
                 for p in sorted(folder.rglob("*")) if p.is_file()]  # fmt: skip
        self.models[key] = {
            "model_id": f"id-{key}",
            "key": key,
            "version": version,
            "format": format,
            "backbone": None if backbone is None else self.model(backbone),
            "local_path": None if self.remote else str(folder),
            "files": files,
            "folder": folder,
            "body": body or {},
        }

    def model(self, ref: str, version: int | None = None) -> Json:
        self._called("model")
        found = self.models.get(ref.removeprefix("id-"))
        if found is None:
            raise NotFound.of("model", ref)
        return found

    def model_file(self, ref: str, version: int | None, path: str, target: Path) -> None:
        self._called("model_file")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.model(ref)["folder"] / path, target)

    def dataset_rows(self, ref: str, start: int, limit: int) -> Json:
        self._called("dataset_rows")
        if ref not in self.datasets:
            raise NotFound.of("dataset", ref)
        rows = self.datasets[ref]
        end = start + limit
        return {"rows": rows[start:end], "next": end if end < len(rows) else None}

    def complete(self, body: Json) -> Json:
        self._called("complete")
        return {"text": self.replies(body), "finish_reason": "stop", "usage": {}}

    def scores(self, body: Json) -> None:
        self._called("scores")
        self.scored.append(body)

    def result(self, result: Mapping[str, Any]) -> None:
        self._called("result")
        self.results = dict(result)

    def _called(self, name: str) -> None:
        with self._lock:
            self.calls.append(name)
