"""What a recipe is given: its arguments, its inputs, and the ways to report and to keep what it makes."""

from __future__ import annotations

import math
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Self

from quintet.domain.errors import Invalid
from quintet.recipes.client import Json, RunClient
from quintet.recipes.sending import INTERVAL, Progress, Sender
from quintet.recipes.terminal import ProgressLine

PAGE = 1000
"""Rows asked for at once: large enough that paging costs little beside reading, small enough to hold two pages."""


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model on this machine. `base` loads with transformers; `adapter`, if any, is a PEFT adapter on it."""

    model_id: str
    key: str
    version: int
    base: Path
    adapter: Path | None = None
    base_key: str = ""


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A version that a run added to the registry."""

    model_id: str
    key: str
    version: int


@dataclass(frozen=True, slots=True)
class Completion:
    """A deployed model's reply. `usage` as the server counts it."""

    text: str
    finish_reason: str
    usage: Mapping[str, Any] = field(default_factory=dict)


class Stage:
    """A named part of the run, as a context manager: running inside, then done, or error if an exception leaves."""

    def __init__(self, name: str, total: int | None, changed: Callable[[Stage], None]) -> None:
        self.name, self.total, self.done = name, total, 0
        self.state = "pending"
        self.info: Json = {}
        self._changed = changed

    def advance(self, n: int = 1, **info: Any) -> None:
        """`n` more are done; `info` (JSON values) is merged into what is shown beside."""
        self.set(self.done + n, **info)

    def set(self, done: int, total: int | None = None, **info: Any) -> None:
        """`done` are done; a `total` given here replaces the earlier one."""
        self.done = done
        self.total = self.total if total is None else total
        self.info.update(info)
        self._changed(self)

    def share(self) -> float:
        """How much of it is done, 0 to 1; a stage without a total counts when it is over."""
        if self.state == "done":
            return 1.0
        return min(self.done / self.total, 1.0) if self.total else 0.0

    def wire(self) -> Json:
        return {"name": self.name, "state": self.state, "done": self.done, "total": self.total,
                "info": dict(self.info)}  # fmt: skip

    def __enter__(self) -> Self:
        self.state = "running"
        self._changed(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.state = "done" if error is None else "error"
        if error is None and self.total is not None:
            self.total = self.done = max(self.done, self.total)
        self._changed(self)


class RecipeContext:
    """One run, from inside. Errors of the server come as errors of `quintet.domain.errors`.

    `args` are the arguments as sent; `work_dir` is a scratch folder that is gone after the run; `output_model`
    is the name that the run's result should get, if the caller gave one.
    """

    def __init__(
        self,
        client: RunClient,
        work_dir: Path,
        *,
        stages: Sequence[str] = (),
        interval: float = INTERVAL,
        run: Json | None = None,
    ) -> None:
        run = client.run() if run is None else run
        self.client, self.work_dir = client, work_dir
        self.id, self.name = str(run["id"]), str(run.get("name") or "")
        self.args: Json = dict(run.get("args") or {})
        self.attempt = int(run.get("attempt") or 0)
        self.project: str | None = run.get("project")
        self.output_model: str | None = run.get("output_model")
        self._checkpoint: Json | None = run.get("checkpoint")
        self._share: float | None = None
        self._sender = Sender(client, self._progress, interval)
        self._stages = {name: Stage(name, None, self._stage_changed) for name in stages}
        self._stages_lock = threading.Lock()
        self._uploader = ThreadPoolExecutor(1, thread_name_prefix="quintet-upload")
        self._uploads: list[Future[None]] = []
        self._line = ProgressLine()

    def stage(self, name: str, total: int | None = None) -> Stage:
        """The stage `name`, to be used in a `with`. `total` is how many steps it has, if that is known."""
        with self._stages_lock:
            stage = self._stages.setdefault(name, Stage(name, total, self._stage_changed))
        stage.total = total if total is not None else stage.total
        return stage

    def progress(self, share: float) -> None:
        """Says how much of the whole run is done, 0 to 1; without it, every stage counts the same."""
        self._share = min(max(share, 0.0), 1.0)
        self._sender.progress_changed()

    def metric(self, metric: str, variant: str, value: float, iter: int) -> None:
        """One point of the series `metric/variant`; `iter` is its step. NaN and infinities are kept out."""
        if math.isfinite(value):
            self._sender.point({"metric": metric, "variant": variant, "iter": int(iter), "value": float(value),
                                "ts": int(time.time() * 1000)})  # fmt: skip

    def say(self, text: str) -> None:
        """A line in the run's log."""
        self._line.clear()
        print(text, flush=True)

    def flush(self) -> None:
        """Returns when points, progress and checkpoints have reached the server; raises if they could not."""
        uploads, self._uploads = self._uploads, []
        for upload in uploads:
            upload.result()
        self._sender.flush()

    def artifact(self, path: Path | str, key: str, type: str = "file", metadata: Json | None = None) -> None:
        """Keeps a file as the run's artifact `key`; an earlier one of that key is replaced."""
        source = Path(path)
        stored = self.client.put_file(f"artifacts/{key}/{source.name}", source)
        self.client.artifact(
            {
                "key": key,
                "type": type,
                "path": f"artifacts/{key}/{source.name}",
                "size": stored.get("size", source.stat().st_size),
                "hash": stored.get("sha256", ""),
                "metadata": metadata or {},
            }
        )

    def checkpoint(
        self,
        folder: Path | str,
        step: int,
        epoch: float = 0.0,
        metrics: Mapping[str, float] | None = None,
        *,
        remove: bool = False,
    ) -> None:
        """Keeps `folder` as a state to go on from. Uploads in the background: leave the folder as it is.

        With `remove` the folder is deleted once it is kept.
        """
        source, name = Path(folder), f"step-{step}"
        path = f"checkpoints/attempt-{self.attempt}/{name}"

        def upload() -> None:
            self._put_folder(source, path)
            self.client.checkpoint({"name": name, "step": int(step), "epoch": float(epoch), "path": path,
                                    "metrics": _finite(metrics)})  # fmt: skip
            if remove:
                shutil.rmtree(source, ignore_errors=True)

        for done in [upload for upload in self._uploads if upload.done()]:
            self._uploads.remove(done)
            done.result()
        self._uploads.append(self._uploader.submit(upload))

    def checkpoint_folder(self) -> Path | None:
        """The state that an earlier attempt of this run left, on this machine; None on a fresh start."""
        checkpoint = self._checkpoint
        if not checkpoint:
            return None
        local = Path(str(checkpoint["path"]))
        if local.is_absolute() and local.is_dir():
            return local
        target = self.work_dir / "resumed"
        for name in _file_names(checkpoint.get("files") or ()):
            self.client.get_file(f"{checkpoint['path']}/{name}", target / name)
        return target

    def register_model(
        self,
        folder: Path | str,
        name: str,
        format: str = "transformers",
        backbone: str | None = None,
        metrics: Mapping[str, float] | None = None,
        *,
        key: str | None = None,
        description: str = "",
        kind: str = "generation",
    ) -> RegisteredModel:
        """Adds the files in `folder` to the registry as a version of `name`; an adapter needs its `backbone`."""
        self.flush()
        # Never the path of an earlier attempt, whose version may be in use already.
        path = f"models/attempt-{self.attempt}/{key or name}"
        body: Json = {
            "name": name,
            "format": format,
            "backbone": backbone,
            "path": path,
            "files": self._put_folder(Path(folder), path),
            "metrics": _finite(metrics),
            "description": description,
            "kind": kind,
        }
        answer = self.client.register_model(body if key is None else {**body, "key": key})
        return RegisteredModel(str(answer["model_id"]), str(answer["key"]), int(answer["version"]))

    def load_model_folder(self, ref: str, version: int | None = None) -> ModelFolder:
        """The model `ref` (key, id or name) on this machine, downloaded if it is not there. NotFound, Invalid."""
        model = self.client.model(ref, version)
        folder = self._model_folder(model)
        if model["format"] == "adapter":
            backbone = model.get("backbone")
            if not backbone or backbone["format"] != "transformers":
                raise Invalid(f"the adapter '{ref}' has no backbone that could be loaded", field="model")
            return ModelFolder(model["model_id"], model["key"], model["version"], self._model_folder(backbone),
                               folder, backbone["key"])  # fmt: skip
        if model["format"] != "transformers":
            raise Invalid(f"the model '{ref}' has no weights here: its format is {model['format']}", field="model")
        return ModelFolder(model["model_id"], model["key"], model["version"], folder, None, model["key"])

    def dataset_rows(self, ref: str, limit: int | None = None) -> Iterator[Json]:
        """The rows of the dataset `ref` in order, at most `limit`; the next page is fetched while one is read."""
        with ThreadPoolExecutor(1, thread_name_prefix="quintet-rows") as pool:
            start: int | None = 0
            wanted = math.inf if limit is None else limit
            page = pool.submit(self.client.dataset_rows, ref, 0, int(min(PAGE, wanted))) if wanted > 0 else None
            while page is not None:
                answer = page.result()
                rows, start = answer["rows"][: None if limit is None else int(wanted)], answer.get("next")
                wanted -= len(rows)
                page = None
                if start is not None and wanted > 0:
                    page = pool.submit(self.client.dataset_rows, ref, start, int(min(PAGE, wanted)))
                yield from rows

    def complete(
        self,
        model: str,
        messages: Sequence[Mapping[str, Any]],
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
        seed: int | None = None,
    ) -> Completion:
        """One reply of a deployed model, named as a client would name it. Safe to call from several threads."""
        answer = self.client.complete(
            {
                "model": model,
                "messages": [dict(message) for message in messages],
                "max_tokens": max_tokens,
                "temperature": temperature,
                "seed": seed,
            }
        )
        return Completion(str(answer["text"]), str(answer.get("finish_reason") or ""), answer.get("usage") or {})

    def result(self, result: Mapping[str, Any]) -> None:
        """What the run has to show for itself (a JSON object); replaces an earlier one."""
        self.client.result(result)

    def close(self) -> None:
        """Sends what is left. Called by the runner, whether the recipe ended well or not."""
        self._line.clear()
        try:
            self.flush()
        finally:
            self._uploader.shutdown(wait=True, cancel_futures=True)
            self._sender.close()

    def _progress(self) -> Progress:
        with self._stages_lock:
            stages = list(self._stages.values())
        share = self._share
        if share is None and stages:
            share = sum(stage.share() for stage in stages) / len(stages)
        return Progress([stage.wire() for stage in stages], share)

    def _stage_changed(self, stage: Stage) -> None:
        self._line.show(stage.name, stage.done, stage.total, over=stage.state != "running")
        self._sender.progress_changed()

    def _put_folder(self, folder: Path, path: str) -> list[Json]:
        """Uploads every file below `folder`; answers `{"path" (in the folder), "size", "sha256"}` of each."""
        stored = []
        for source in sorted(p for p in folder.rglob("*") if p.is_file()):
            name = source.relative_to(folder).as_posix()
            answer = self.client.put_file(f"{path}/{name}", source)
            stored.append({"path": name, "size": answer["size"], "sha256": answer["sha256"]})
        if not stored:
            raise Invalid(f"there is no file in {folder}", field="folder")
        return stored

    def _model_folder(self, model: Json) -> Path:
        local = model.get("local_path")
        if local and Path(local).is_dir():
            return Path(local)
        target = self.work_dir / "inputs" / f"{model['model_id']}-v{model['version']}"
        for name in _file_names(model["files"]):
            if not (target / name).exists():
                self.client.model_file(model["model_id"], model["version"], name, target / name)
        return target


def _finite(metrics: Mapping[str, float] | None) -> dict[str, float]:
    return {name: float(value) for name, value in (metrics or {}).items() if math.isfinite(value)}


def _file_names(files: Sequence[Any]) -> Iterator[str]:
    """Relative paths out of a list of names or of `{"path": ...}`; Invalid if one leads out of its folder."""
    for entry in files:
        name = str(entry["path"] if isinstance(entry, Mapping) else entry)
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise Invalid(f"'{name}' leads out of its folder", field="files")
        yield name
