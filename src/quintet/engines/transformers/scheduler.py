"""What the model process does next: admit, one step for every batch, a few embeddings, and again.

One thread does all of it, since a CPU or GPU computes one thing at a time anyway. Between two steps it looks at
what has arrived, so a new request waits for one step and not for the replies before it.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import TypeVar

import msgspec
import torch

from quintet.domain.errors import Precondition, QuintetError, Unavailable
from quintet.engines.text import StopScanner
from quintet.engines.transformers.backbone import EMBED_ROWS, Backbone
from quintet.engines.transformers.batch import Batch, Row
from quintet.engines.transformers.decoding import IncrementalText
from quintet.engines.transformers.protocol import (
    Answer,
    Cancel,
    Done,
    Embed,
    Failed,
    Finished,
    Generate,
    Load,
    Piece,
    Request,
    Unload,
    Vectors,
    Weights,
)
from quintet.engines.transformers.sampling import Sampling

# An idle process waits this long for company after a first request. A step of even a tiny model takes about as
# long, and requests that a client sends together arrive within a millisecond.
WINDOW_SECONDS = 0.003

log = logging.getLogger("quintet.engines.transformers")


class ProcessOptions(msgspec.Struct, frozen=True):
    """From the parent, on the command line. `default_max_tokens` applies where a request names no limit."""

    threads: int = 2
    dtype: str = "default"
    max_batch: int = 16
    max_models: int = 4
    default_max_tokens: int = 512


Group = tuple[str, str]
T = TypeVar("T")


@dataclass
class _EmbedJob:
    id: int
    backbone: Backbone
    adapter_key: str
    texts: list[str]
    vectors: list[list[float]]


class Scheduler:
    """Takes requests from `inbox` until None comes, and gives answers to `send`, all in the calling thread."""

    def __init__(
        self, options: ProcessOptions, inbox: SimpleQueue[Request | None], send: Callable[[list[Answer]], None]
    ) -> None:
        self._options = options
        self._inbox = inbox
        self._send = send
        self._answers: list[Answer] = []
        self._backbones: OrderedDict[str, Backbone] = OrderedDict()
        self._waiting: dict[Group, deque[Row]] = {}
        self._batches: dict[Group, Batch] = {}
        self._embeds: deque[_EmbedJob] = deque()
        self._unloads: list[Unload] = []
        self._held: list[Generate | Embed] = []
        self._cancelled: set[int] = set()

    def run(self) -> None:
        while self._receive():
            self._apply_cancels()
            self._apply_unloads()
            self._admit()
            self._step()
            self._embed()
            self._flush()

    def _receive(self) -> bool:
        """Takes in what has arrived; waits where there is nothing else to do. False at the end."""
        deadline = 0.0
        idle = not (self._batches or self._waiting or self._embeds or self._unloads)
        while True:
            try:
                if idle:
                    request = self._inbox.get()
                    deadline, idle = time.monotonic() + WINDOW_SECONDS, False
                else:
                    left = deadline - time.monotonic()
                    request = self._inbox.get(timeout=left) if left > 0 else self._inbox.get_nowait()
            except Empty:
                return True
            if request is None:
                return False
            self._guarded(request.id, partial(self._accept, request))
            if not isinstance(request, Generate | Embed):
                # Nothing keeps company with a load, so whoever waits for it need not wait for the window.
                deadline = 0.0

    def _accept(self, request: Request) -> None:
        if isinstance(request, Generate | Embed) and self._leaving(request.weights):
            self._held.append(request)
            return
        match request:
            case Load():
                self._ready(request.weights)
                self._answers.append(Done(request.id))
            case Generate():
                self._enqueue(request)
            case Embed():
                backbone = self._ready(request.weights)
                job = _EmbedJob(request.id, backbone, request.weights.adapter_key, request.texts, [])
                self._embeds.append(job)
            case Unload():
                self._unloads.append(request)
            case Cancel():
                self._cancelled.add(request.id)

    def _enqueue(self, request: Generate) -> None:
        backbone = self._ready(request.weights)
        prompt = backbone.prompt_ids(request.messages, request.tools)
        wanted = request.max_tokens or self._options.default_max_tokens
        row = Row(
            id=request.id,
            prompt=prompt,
            limit=min(wanted, backbone.context - len(prompt)),
            sampling=Sampling(request.temperature, request.top_p, request.seed),
            scanner=StopScanner(request.stop),
            decoder=IncrementalText(backbone.tokenizer, prompt),
            stream=request.stream,
        )
        self._waiting.setdefault((backbone.key, request.weights.adapter_key), deque()).append(row)

    def _ready(self, weights: Weights) -> Backbone:
        """The backbone, loaded with its adapter where it is not yet; the least used one makes room."""
        backbone = self._backbones.get(weights.key)
        if backbone is None:
            self._make_room()
            backbone = _loading(partial(Backbone, weights, dtype=self._options.dtype))
            self._backbones[weights.key] = backbone
        self._backbones.move_to_end(weights.key)
        if weights.adapter_key:
            _loading(partial(backbone.load_adapter, weights))
        return backbone

    def _make_room(self) -> None:
        for key in list(self._backbones):
            if len(self._backbones) < self._options.max_models:
                return
            if not self._busy(key, None):
                del self._backbones[key]

    def _busy(self, key: str, adapter_key: str | None) -> bool:
        """Whether replies of the model are running or waiting, of one adapter only if that is given."""
        groups = [*self._batches, *self._waiting, *((j.backbone.key, j.adapter_key) for j in self._embeds)]
        return any(k == key and adapter_key in (None, a) for k, a in groups)

    def _apply_cancels(self) -> None:
        if not self._cancelled:
            return
        for group, rows in list(self._waiting.items()):
            kept = deque(row for row in rows if row.id not in self._cancelled)
            if kept:
                self._waiting[group] = kept
            else:
                del self._waiting[group]
        self._held = [request for request in self._held if request.id not in self._cancelled]
        self._embeds = deque(job for job in self._embeds if job.id not in self._cancelled)
        for group, batch in list(self._batches.items()):
            batch.drop({i for i, row in enumerate(batch.rows) if row.id in self._cancelled})
            if not batch.rows:
                del self._batches[group]
        self._cancelled.clear()

    def _leaving(self, weights: Weights) -> bool:
        return any(u.weights.key == weights.key for u in self._unloads)

    def _apply_unloads(self) -> None:
        """What is under way is finished first; what came after the unload is held, and loads the model anew."""
        if not self._unloads:
            return
        for request in list(self._unloads):
            weights = request.weights
            if self._busy(weights.key, weights.adapter_key if request.adapter_only else None):
                continue
            self._unloads.remove(request)
            backbone = self._backbones.get(weights.key)
            if backbone is not None and request.adapter_only:
                backbone.unload_adapter(weights.adapter_key)
            elif backbone is not None:
                del self._backbones[weights.key]
            self._answers.append(Done(request.id))
        held, self._held = self._held, []
        for each in held:
            self._guarded(each.id, partial(self._accept, each))

    def _admit(self) -> None:
        for group, rows in list(self._waiting.items()):
            batch = self._batches.get(group) or Batch(self._backbones[group[0]], group[1])
            joining = [rows.popleft() for _ in range(min(len(rows), batch.room(self._options.max_batch)))]
            if not rows:
                del self._waiting[group]
            if joining:
                self._batches[group] = batch
                self._computed(group, batch, joining, partial(batch.admit, joining))

    def _step(self) -> None:
        for group, batch in list(self._batches.items()):
            self._computed(group, batch, [], batch.step)

    def _computed(self, group: Group, batch: Batch, joining: list[Row], work: Callable[[], None]) -> None:
        """Runs one computation of a batch and hands on its results; a failure ends the batch and no other."""
        try:
            work()
        except Exception as exc:
            log.exception("a batch of %s failed", group)
            rows = {row.id: row for row in (*batch.rows, *joining)}
            self._answers.extend(_failure(ident, exc) for ident in rows)
            self._batches.pop(group, None)
            return
        finished = set()
        for place, row in enumerate(batch.rows):
            text, row.text = (row.text, "") if row.stream or row.reason else ("", row.text)
            if row.reason is not None:
                finished.add(place)
                self._answers.append(Finished(row.id, text, row.reason, len(row.prompt), row.tokens))
            elif text:
                self._answers.append(Piece(row.id, text))
        batch.drop(finished)
        if not batch.rows:
            self._batches.pop(group, None)

    def _embed(self) -> None:
        if not self._embeds:
            return
        job = self._embeds[0]
        self._guarded(job.id, partial(self._embed_some, job))

    def _embed_some(self, job: _EmbedJob) -> None:
        try:
            job.backbone.use(job.adapter_key)
            start = len(job.vectors)
            job.vectors.extend(job.backbone.embed(job.texts[start : start + EMBED_ROWS]))
        except Exception:
            self._embeds.popleft()
            raise
        if len(job.vectors) == len(job.texts):
            self._embeds.popleft()
            self._answers.append(Vectors(job.id, job.vectors))

    def _guarded(self, ident: int, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as exc:
            if not isinstance(exc, QuintetError):
                log.exception("request %d failed", ident)
            self._answers.append(_failure(ident, exc))

    def _flush(self) -> None:
        if self._answers:
            answers, self._answers = self._answers, []
            self._send(answers)


def _loading(work: Callable[[], T]) -> T:
    """Loads something; what the libraries make of a broken folder becomes one clear error."""
    try:
        return work()
    except (QuintetError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as exc:
        log.exception("a model could not be loaded")
        raise Precondition(f"the model could not be loaded ({type(exc).__name__}); the server's log says why") from exc


def _failure(ident: int, exc: Exception) -> Failed:
    if isinstance(exc, QuintetError):
        return Failed(ident, exc.code, exc.message, exc.field)
    if isinstance(exc, MemoryError | torch.OutOfMemoryError):
        busy = Unavailable("the model process has run out of memory")
        return Failed(ident, busy.code, busy.message)
    return Failed(ident, "internal", "the model process failed on this request")
