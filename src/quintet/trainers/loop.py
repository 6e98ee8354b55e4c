"""What every method built on a TRL trainer shares: its settings, the arguments made of them, and the reporting.

The trainer's own loop is left alone. One callback reports to `Report` and decides when to log, validate and save.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quintet.trainers.report import Report

SAY_EVERY_SECONDS = 5.0
"""Pause between two log lines about the loss; the curve itself gets every point."""

NEVER = 1_000_000_000
"""Steps. The trainer saves at its last step only if its strategy is "steps", so we name a step that never comes."""


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """`max_steps` beats `epochs`; `max_seconds` ends early. `warmup` is a share of all steps, which
    `warmup_steps` beats.

    `checkpoint_every` is in steps; 0 means only at the end (and at each epoch's with `checkpoint_epochs`).
    """

    epochs: float = 1.0
    max_steps: int | None = None
    max_seconds: float | None = None
    batch_size: int = 8
    gradient_accumulation_steps: int = 1
    learning_rate: float = 2e-5
    schedule: str = "cosine"
    warmup: float = 0.03
    warmup_steps: int | None = None
    weight_decay: float = 0.0
    max_length: int = 1024
    log_every: int = 10
    validate_every: int = 0
    checkpoint_every: int = 0
    checkpoint_epochs: bool = False
    seed: int = 42


@dataclass(frozen=True, slots=True)
class Trained:
    """`folder` holds a model (`format` "transformers") or an adapter. `metrics` are the last values."""

    folder: Path
    format: str
    steps: int
    metrics: Mapping[str, float]


def arguments(settings: LoopSettings, work_dir: Path, rows: int) -> dict[str, Any]:
    """Keyword arguments for a TRL config. `rows` is the number of training examples."""
    import torch

    on_cpu = not torch.cuda.is_available() and not torch.backends.mps.is_available()
    # A leading whole batch a step; the last one of an epoch may be smaller.
    steps = settings.max_steps or math.ceil(
        math.ceil(rows / settings.batch_size) / settings.gradient_accumulation_steps * settings.epochs
    )
    return {
        "output_dir": str(work_dir / "checkpoints"),
        "num_train_epochs": settings.epochs,
        "max_steps": settings.max_steps or -1,
        "per_device_train_batch_size": settings.batch_size,
        "per_device_eval_batch_size": settings.batch_size,
        "gradient_accumulation_steps": settings.gradient_accumulation_steps,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": settings.schedule,
        "warmup_steps": round(settings.warmup * steps) if settings.warmup_steps is None else settings.warmup_steps,
        "weight_decay": settings.weight_decay,
        "max_length": settings.max_length,
        "seed": settings.seed,
        "use_cpu": on_cpu,
        # On CPUs bfloat16 is emulated: slower and less exact.
        "bf16": not on_cpu and torch.cuda.is_available() and torch.cuda.is_bf16_supported(),
        # Trades a fifth of the speed for memory, which only large models on accelerators are short of.
        "gradient_checkpointing": not on_cpu,
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": not on_cpu,
        "report_to": "none",
        "disable_tqdm": True,
        "logging_steps": settings.log_every,
        "logging_first_step": True,
        "save_strategy": "steps",
        "save_steps": NEVER,
        "eval_strategy": "no",
    }


def run(trainer: Any, settings: LoopSettings, report: Report, resume: Path | None) -> dict[str, float]:
    """Trains to the end; answers the last metrics (`train_loss`, and with validation `validation_loss`, ...)."""
    from transformers.trainer_callback import PrinterCallback

    callback = _callback(settings, report, has_validation=trainer.eval_dataset is not None)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(callback)
    trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
    return dict(callback.last)


def _callback(settings: LoopSettings, report: Report, *, has_validation: bool) -> Any:
    from transformers import TrainerCallback

    class Reporting(TrainerCallback):  # type: ignore[misc]
        def __init__(self) -> None:
            self.last: dict[str, float] = {}
            self.began = self.said = time.monotonic()
            self.validated_at = self.saved_at = -1

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            step = state.global_step
            report.progress(step, state.max_steps)
            if settings.max_seconds and time.monotonic() - self.began > settings.max_seconds:
                control.should_training_stop = True
            ends = control.should_training_stop
            saves = ends or _every(settings.checkpoint_every, step)
            self._mark(control, step, saves=saves, validates=saves or _every(settings.validate_every, step))
            control.should_log = control.should_log or ends

        def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            epochs = settings.checkpoint_epochs
            self._mark(control, state.global_step, saves=epochs, validates=epochs)

        def _mark(self, control: Any, step: int, *, saves: bool, validates: bool) -> None:
            # An epoch can end at a step that was saved already.
            control.should_save = saves and self.saved_at != step
            control.should_evaluate = has_validation and validates and self.validated_at != step
            self.saved_at = step if control.should_save else self.saved_at
            self.validated_at = step if control.should_evaluate else self.validated_at

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            values = {name: float(value) for name, value in (logs or {}).items() if isinstance(value, int | float)}
            for metric, variant, value in _points(values):
                report.metric(metric, variant, value, state.global_step)
            if "loss" in values:
                self.last["train_loss"] = values["loss"]
            if "eval_loss" in values:
                loss = values["eval_loss"]
                self.last |= {"validation_loss": loss, "perplexity": _perplexity(loss)}
            now = time.monotonic()
            if "eval_loss" in values or now - self.said > SAY_EVERY_SECONDS:
                self.said = now
                numbers = ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in self.last.items())
                report.say(f"step {state.global_step} of {state.max_steps}: {numbers}")

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            report.checkpoint(folder, state.global_step, float(state.epoch or 0.0), dict(self.last))

    return Reporting()


def _every(interval: int, step: int) -> bool:
    return bool(interval) and step % interval == 0


_NAMES = {
    "loss": ("loss", "train"),
    "eval_loss": ("loss", "validation"),
    "grad_norm": ("gradient_norm", "train"),
    "learning_rate": ("learning_rate", "train"),
    "mean_token_accuracy": ("token_accuracy", "train"),
    "eval_mean_token_accuracy": ("token_accuracy", "validation"),
    "entropy": ("entropy", "train"),
    "eval_entropy": ("entropy", "validation"),
}


def _points(values: Mapping[str, float]) -> list[tuple[str, str, float]]:
    """The trainer's log as (metric, variant, value); what only sums up the whole training is left out."""
    points = [(*_NAMES[name], value) for name, value in values.items() if name in _NAMES]
    for name, value in values.items():
        # Preference tuning: "rewards/chosen", "eval_logps/rejected" and so on.
        if "/" in name:
            metric, _, variant = name.removeprefix("eval_").partition("/")
            points.append((metric, f"validation/{variant}" if name.startswith("eval_") else variant, value))
    if "eval_loss" in values:
        points.append(("perplexity", "validation", _perplexity(values["eval_loss"])))
    return [point for point in points if math.isfinite(point[2])]


def _perplexity(loss: float) -> float:
    # Beyond this exp() overflows; a model that bad has no use for more digits.
    return math.exp(min(loss, 700.0))
