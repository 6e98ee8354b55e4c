"""What a recipe needs from the server, as a protocol: over HTTP in a real run, in memory in a test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

Json = dict[str, Any]


class RunClient(Protocol):
    """The server, as one run sees it. Every method may raise an error of `quintet.domain.errors`.

    Implementations are safe to call from several threads.
    """

    def run(self) -> Json:
        """`{"id", "name", "recipe", "args", "attempt", "project", "checkpoint", "output_model"}`."""
        ...

    def progress(self, stages: Sequence[Json], progress: float | None) -> None:
        """All stages as `{"name", "state", "done", "total", "info"}`, and the whole run's share done, 0 to 1."""
        ...

    def metrics(self, points: Sequence[Json]) -> None:
        """Points as `{"metric", "variant", "iter", "value", "ts"}`, `ts` in milliseconds since the epoch."""
        ...

    def put_file(self, path: str, source: Path) -> Json:
        """Keeps the file under `path` of this run; answers `{"key", "size", "sha256"}`."""
        ...

    def get_file(self, path: str, target: Path) -> None:
        """Fetches a file that this run kept before."""
        ...

    def artifact(self, body: Json) -> None:
        """`{"key", "type", "path", "size", "hash", "metadata"}`."""
        ...

    def checkpoint(self, body: Json) -> None:
        """`{"name", "step", "epoch", "path", "metrics"}`."""
        ...

    def register_model(self, body: Json) -> Json:
        """`{"name", "format", "backbone", "path", "files", ...}`; answers `{"model_id", "version", "key"}`."""
        ...

    def model(self, ref: str, version: int | None = None) -> Json:
        """`{"model_id", "key", "version", "format", "backbone", "local_path", "files"}`."""
        ...

    def model_file(self, ref: str, version: int | None, path: str, target: Path) -> None:
        """Fetches one file of a model."""
        ...

    def dataset_rows(self, ref: str, start: int, limit: int) -> Json:
        """`{"rows": [...], "next": int | None}`."""
        ...

    def complete(self, body: Json) -> Json:
        """Calls a deployed model: `{"model", "messages", ...}` to `{"text", "finish_reason", "usage"}`."""
        ...

    def scores(self, body: Json) -> None:
        """`{"evaluation", "generations", "scores", "metrics", "rows"}`."""
        ...

    def result(self, result: Mapping[str, Any]) -> None:
        """What the run has to show for itself; replaces an earlier one."""
        ...
