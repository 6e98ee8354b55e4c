"""A running batch: rows of one model and adapter that decode together, join between steps and leave when done.

The keys and values of all rows are one cache, padded on the left, because then every row's next token is in the
last column. A row that joins is computed by itself first and then put beside the others; columns that only hold
padding are dropped when rows leave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import DynamicCache

from quintet.engines.text import StopScanner
from quintet.engines.transformers.backbone import Backbone
from quintet.engines.transformers.decoding import IncrementalText
from quintet.engines.transformers.sampling import Sampling, choose

# Tokens of one prompt pass, padding included: bounds its memory, and how long running replies wait for it.
PREFILL_TOKENS = 4096


@dataclass
class Row:
    """One reply in the making. `text` is what has not been handed on yet; `reason` is set when it is over."""

    id: int
    prompt: list[int]
    limit: int
    sampling: Sampling
    scanner: StopScanner
    decoder: IncrementalText
    stream: bool
    tokens: int = 0
    last: int = 0
    text: str = ""
    reason: str | None = None

    def take(self, token: int, eos: frozenset[int]) -> None:
        """Accepts the next token, and with it perhaps the end."""
        self.tokens += 1
        self.last = token
        if token in eos:
            self._end("stop")
            return
        self.text += self.scanner.feed(self.decoder.push(token))
        if self.scanner.stopped:
            self.reason = "stop"
        elif self.tokens >= self.limit:
            self._end("length")

    def _end(self, reason: str) -> None:
        self.text += self.scanner.feed(self.decoder.flush())
        # What was held back may have become a stop string by the very last piece.
        self.reason = "stop" if self.scanner.stopped else reason
        self.text += self.scanner.flush()


@dataclass
class Batch:
    """Rows with one adapter (or none) of one backbone. `step` returns after one token for every row."""

    backbone: Backbone
    adapter_key: str
    rows: list[Row] = field(default_factory=list)
    _mask: Any = None
    _cache: Any = None

    def room(self, most: int) -> int:
        """How many rows may join now."""
        limit = most if self.backbone.mergeable else 1
        return limit - len(self.rows)

    def admit(self, rows: Sequence[Row]) -> None:
        """Computes the prompts of new rows and their first tokens, and lets those that go on join."""
        self.backbone.use(self.adapter_key)
        with torch.inference_mode():
            for group in _prefill_groups(rows):
                mask, cache = self._prefill(group)
                self._join(group, mask, cache)

    def step(self) -> None:
        """One more token for every row."""
        if not self.rows:
            return
        self.backbone.use(self.adapter_key)
        ids = torch.tensor([[row.last] for row in self.rows], device=self.backbone.device)
        with torch.inference_mode():
            self._mask = torch.cat([self._mask, self._mask.new_ones((len(self.rows), 1))], dim=1)
            positions = self._mask.sum(dim=1, keepdim=True) - 1
            logits = self._forward(ids, self._mask, positions, self._cache)
            self._take(self.rows, logits)

    def drop(self, gone: set[int]) -> None:
        """Takes the rows with these places out, and the columns that nobody needs any more."""
        if not gone:
            return
        keep = [i for i in range(len(self.rows)) if i not in gone]
        self.rows = [self.rows[i] for i in keep]
        if not keep:
            self._mask = self._cache = None
            return
        if not self.backbone.mergeable:
            return
        with torch.inference_mode():
            index = torch.tensor(keep, device=self.backbone.device)
            mask = self._mask.index_select(0, index)
            start = int((mask.sum(dim=0) > 0).to(torch.uint8).argmax())
            self._mask = mask[:, start:]
            for layer in self._cache.layers:
                layer.keys = layer.keys.index_select(0, index)[..., start:, :]
                layer.values = layer.values.index_select(0, index)[..., start:, :]

    def _prefill(self, rows: Sequence[Row]) -> tuple[Any, Any]:
        longest = max(len(row.prompt) for row in rows)
        device = self.backbone.device
        ids = torch.tensor([[0] * (longest - len(r.prompt)) + r.prompt for r in rows], device=device)
        mask = torch.tensor([[0] * (longest - len(r.prompt)) + [1] * len(r.prompt) for r in rows], device=device)
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
        # Without the model's configuration every layer keeps all its keys, which is what can be merged; sliding
        # windows are then a matter of the mask.
        cache = DynamicCache() if self.backbone.mergeable else DynamicCache(config=self.backbone.model.config)
        logits = self._forward(ids, mask, positions, cache)
        self._take(rows, logits)
        return mask, cache

    def _join(self, rows: Sequence[Row], mask: Any, cache: Any) -> None:
        self.rows.extend(rows)
        if self._cache is None:
            self._mask, self._cache = mask, cache
            return
        width = max(self._mask.shape[1], mask.shape[1])
        self._mask = torch.cat([_pad_left(self._mask, width, 1), _pad_left(mask, width, 1)])
        for ours, theirs in zip(self._cache.layers, cache.layers, strict=True):
            ours.keys = torch.cat([_pad_left(ours.keys, width, 2), _pad_left(theirs.keys, width, 2)])
            ours.values = torch.cat([_pad_left(ours.values, width, 2), _pad_left(theirs.values, width, 2)])

    def _forward(self, ids: Any, mask: Any, positions: Any, cache: Any) -> Any:
        extra: dict[str, Any] = {}
        if self.backbone.takes_positions:
            extra["position_ids"] = positions
        if self.backbone.takes_logits_to_keep:
            extra["logits_to_keep"] = 1
        result = self.backbone.model(input_ids=ids, attention_mask=mask, past_key_values=cache, use_cache=True, **extra)
        return result.logits[:, -1, :].float()

    def _take(self, rows: Sequence[Row], logits: Any) -> None:
        for row, token in zip(rows, choose(logits, [row.sampling for row in rows]), strict=True):
            row.take(token, self.backbone.eos)


def _prefill_groups(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows of similar length together, each group within `PREFILL_TOKENS` unless a single row is longer."""
    groups: list[list[Row]] = []
    for row in sorted(rows, key=lambda r: len(r.prompt), reverse=True):
        # Sorted from the longest, so the first row of a group decides its width.
        if groups and len(groups[-1][0].prompt) * (len(groups[-1]) + 1) <= PREFILL_TOKENS:
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def _pad_left(tensor: Any, width: int, dim: int) -> Any:
    missing = width - tensor.shape[dim]
    if missing == 0:
        return tensor
    shape = list(tensor.shape)
    shape[dim] = missing
    return torch.cat([tensor.new_zeros(shape), tensor], dim=dim)
