"""Pretraining of a small Llama from plain text, with a tokenizer of its own: a model where none can be downloaded.

A plain loop and no trainer library: at under a million parameters a step takes some 100 ms on two cores, so
what a general trainer does around each step would be a visible part of the time. Training ends after
`max_steps` or `max_seconds`, whichever is first, and the learning rate follows whichever is nearer its end, so
that a slow machine gets a finished schedule and not a cut-off one.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from quintet.trainers import loading
from quintet.trainers import tokenizer as tokenizers
from quintet.trainers.report import Report

VALIDATION_SHARE = 50
"""One token in this many, at the end of the corpus, is kept for validation."""

VALIDATION_BATCHES = 4

INITIAL_SPREAD = 0.7
"""Standard deviation of fresh weights times the root of the width. The library's fixed 0.02 suits widths near a
thousand; at 128 it starts attention so flat that learning to copy takes five times as many steps (measured on
the demo's dates: 60 % exact after 600 steps with 0.02, 99 % after 420 with this)."""

LOG_EVERY = 10
"""Steps between two points of the loss curve: a point a second or so at the default size."""


@dataclass(frozen=True, slots=True)
class PretrainSettings:
    """Sizes are in tokens and units of the model; `max_steps` and `max_seconds` may not both be None."""

    tokenizer: str = "bytes"
    vocab_size: int = 2048
    hidden_size: int = 128
    intermediate_size: int = 384
    layers: int = 4
    heads: int = 4
    block_length: int = 256
    batch_size: int = 8
    learning_rate: float = 3e-3
    warmup_share: float = 0.05
    weight_decay: float = 0.01
    max_steps: int | None = None
    max_seconds: float | None = 30.0
    validate_every: int = 50
    checkpoint_every: int = 0
    seed: int = 0


class Pretrained(NamedTuple):
    """`folder` loads with `from_pretrained`. Losses are nats per token; the last is None before any validation."""

    folder: Path
    steps: int
    parameters: int
    train_loss: float
    validation_loss: float | None


def train(
    texts: Iterable[str], settings: PretrainSettings, work_dir: Path, report: Report, resume: Path | None = None
) -> Pretrained:
    """Trains on `texts` and saves model and tokenizer in `work_dir/model`; goes on from `resume` if given."""
    import torch

    loading.quiet()
    torch.manual_seed(settings.seed)
    state: dict[str, Any] = {"step": 0, "elapsed": 0.0}
    documents = list(texts)
    if resume is not None:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(resume)
    else:
        tokenizer = tokenizers.build(
            settings.tokenizer,
            texts=documents,
            vocab_size=settings.vocab_size,
            max_length=settings.block_length,
        )
    tokens = _encode(tokenizer, documents, settings)
    model = _new_model(settings, tokenizer) if resume is None else _load_model(resume)
    parameters = sum(p.numel() for p in model.parameters())
    report.say(f"{tokens.numel():,} tokens of text, a vocabulary of {len(tokenizer)}, {parameters:,} parameters")
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=settings.learning_rate,
        betas=(0.9, 0.95),
        weight_decay=settings.weight_decay,
        fused=True,
    )
    if resume is not None:
        optimizer.load_state_dict(torch.load(resume / "optimizer.pt", weights_only=True))
        state = json.loads((resume / "pretrain_state.json").read_text())
    loop = _Loop(model, tokenizer, optimizer, tokens, settings, work_dir, report, state)
    loop.run()
    folder = work_dir / "model"
    _save(model, tokenizer, folder)
    return Pretrained(folder, state["step"], parameters, loop.train_loss, loop.validation_loss)


class _Loop:
    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        optimizer: Any,
        tokens: Any,
        settings: PretrainSettings,
        work_dir: Path,
        report: Report,
        state: dict[str, Any],
    ) -> None:
        self.model, self.tokenizer, self.optimizer = model, tokenizer, optimizer
        # At least one block on both sides, whatever the size of the corpus.
        kept = max(tokens.numel() // VALIDATION_SHARE, settings.block_length + 1)
        self.training, self.validation = tokens[:-kept], tokens[-kept:]
        self.settings, self.work_dir, self.report, self.state = settings, work_dir, report, state
        self.before = float(state["elapsed"])
        self.began = time.monotonic()
        self.train_loss = math.nan
        self.validation_loss: float | None = None
        # The last step may be one at which validating and saving were due anyway.
        self.validated_at = self.saved_at = -1

    def run(self) -> None:
        import torch

        s, state = self.settings, self.state
        # Seeded by the step too, so that a resumed training does not read the same batches again.
        generator = torch.Generator().manual_seed(s.seed * 1_000_003 + state["step"])
        self.model.train()
        window: list[Any] = []
        window_began = time.monotonic()
        while (share := self._share_done()) < 1.0:
            rate = s.learning_rate * _schedule(share, s.warmup_share)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            loss = self._loss(_batch(self.training, s, generator))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            state["step"] += 1
            window.append(loss.detach())
            if state["step"] % LOG_EVERY == 0:
                speed = len(window) * s.batch_size * s.block_length / (time.monotonic() - window_began)
                self._log(torch.stack(window).mean().item(), rate, speed)
                window, window_began = [], time.monotonic()
            if s.validate_every and state["step"] % s.validate_every == 0:
                self._validate()
            if s.checkpoint_every and state["step"] % s.checkpoint_every == 0:
                self._checkpoint()
        if window:
            self.train_loss = torch.stack(window).mean().item()
        self._validate()
        self._checkpoint()

    def _share_done(self) -> float:
        s = self.settings
        self.state["elapsed"] = self.before + time.monotonic() - self.began
        by_steps = self.state["step"] / s.max_steps if s.max_steps else 0.0
        by_clock = self.state["elapsed"] / s.max_seconds if s.max_seconds else 0.0
        return max(by_steps, by_clock)

    def _loss(self, batch: Any) -> Any:
        import torch

        # Our own cross-entropy, since the model's also builds a shifted copy of every logit.
        logits = self.model(input_ids=batch[:, :-1], use_cache=False).logits
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())

    def _log(self, loss: float, rate: float, tokens_per_second: float) -> None:
        s, step = self.settings, self.state["step"]
        self.train_loss = loss
        self.report.metric("loss", "train", loss, step)
        self.report.metric("learning_rate", "train", rate, step)
        self.report.metric("throughput", "tokens/s", tokens_per_second, step)
        if s.max_steps and (not s.max_seconds or step / s.max_steps >= self.state["elapsed"] / s.max_seconds):
            self.report.progress(step, s.max_steps)
        elif s.max_seconds:
            self.report.progress(min(int(self.state["elapsed"]), int(s.max_seconds)), int(s.max_seconds))

    def _validate(self) -> None:
        import torch

        if self.validated_at == self.state["step"]:
            return
        self.validated_at = self.state["step"]
        # The same crops every time, so that the curve shows the model and not the luck of the draw.
        generator = torch.Generator().manual_seed(self.settings.seed)
        self.model.eval()
        with torch.no_grad():
            losses = [self._loss(_batch(self.validation, self.settings, generator)) for _ in range(VALIDATION_BATCHES)]
        self.model.train()
        self.validation_loss = torch.stack(losses).mean().item()
        self.report.metric("loss", "validation", self.validation_loss, self.state["step"])
        self.report.say(f"step {self.state['step']}: loss {self.train_loss:.3f}, validation {self.validation_loss:.3f}")

    def _checkpoint(self) -> None:
        import torch

        if self.saved_at == self.state["step"]:
            return
        self.saved_at = self.state["step"]
        folder = self.work_dir / "checkpoints" / f"step-{self.state['step']}"
        _save(self.model, self.tokenizer, folder)
        torch.save(self.optimizer.state_dict(), folder / "optimizer.pt")
        (folder / "pretrain_state.json").write_text(json.dumps(self.state))
        (folder / "pretrain_settings.json").write_text(json.dumps(asdict(self.settings)))
        seen = self.state["step"] * self.settings.batch_size * self.settings.block_length
        metrics = {"train_loss": self.train_loss}
        if self.validation_loss is not None:
            metrics |= {"validation_loss": self.validation_loss, "perplexity": math.exp(self.validation_loss)}
        self.report.checkpoint(folder, self.state["step"], seen / self.training.numel(), metrics)


def _schedule(share: float, warmup: float) -> float:
    """The factor of the learning rate after `share` of the training: linear up, then a cosine down to a tenth."""
    if share < warmup:
        return max(share / warmup, 0.02)
    return 0.1 + 0.45 * (1 + math.cos(math.pi * (share - warmup) / (1 - warmup)))


def _encode(tokenizer: Any, documents: list[str], settings: PretrainSettings) -> Any:
    """All documents as one tensor of token ids, each followed by the end token."""
    import torch

    end = tokenizer.eos_token_id
    if settings.tokenizer == "bytes":
        # A table look-up: the tokenizer itself needs a second per megabyte for the same answer.
        table = torch.tensor(_byte_table(tokenizer))
        parts = []
        for document in documents:
            raw = torch.frombuffer(bytearray(document.encode()), dtype=torch.uint8) if document else None
            parts += [] if raw is None else [table[raw.long()]]
            parts.append(torch.tensor([end]))
        tokens = torch.cat(parts) if parts else torch.empty(0, dtype=torch.long)
    else:
        encoded = tokenizer(documents, add_special_tokens=False, verbose=False)["input_ids"] if documents else []
        tokens = torch.tensor([token for ids in encoded for token in (*ids, end)], dtype=torch.long)
    least = 2 * (settings.block_length + 1) + 1
    if tokens.numel() < least:
        raise ValueError(f"the corpus has {tokens.numel()} tokens; a block length of {settings.block_length} "
                         f"needs at least {least}")  # fmt: skip
    return tokens


def _byte_table(tokenizer: Any) -> list[int]:
    """The token id of each of the 256 bytes. A byte level tokenizer writes each as one printable character."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    spelling = {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(others)}
    return [tokenizer.convert_tokens_to_ids(spelling[byte]) for byte in range(256)]


def _batch(tokens: Any, settings: PretrainSettings, generator: Any) -> Any:
    import torch

    starts = torch.randint(tokens.numel() - settings.block_length, (settings.batch_size, 1), generator=generator)
    return tokens[starts + torch.arange(settings.block_length + 1)]


def _new_model(settings: PretrainSettings, tokenizer: Any) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=settings.hidden_size,
        intermediate_size=settings.intermediate_size,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.heads,
        max_position_embeddings=settings.block_length,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=INITIAL_SPREAD / math.sqrt(settings.hidden_size),
    )
    return LlamaForCausalLM(config)


def _load_model(folder: Path) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def _save(model: Any, tokenizer: Any, folder: Path) -> None:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
