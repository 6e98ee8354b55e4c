"""Between trainings as Llama Stack writes them, recipes' arguments, and runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from quintet.app.training.tune import Tune
from quintet.dialects.kit.times import to_rfc3339
from quintet.dialects.llama_stack import post_training_wire as wire
from quintet.dialects.llama_stack.binder import DIALECT
from quintet.domain.errors import Invalid, Unsupported
from quintet.domain.ids import Kind, to_uuid
from quintet.domain.runs import Checkpoint, Run, RunKind, RunState

STATUS: dict[RunState, str] = {
    RunState.CREATED: "scheduled",
    RunState.QUEUED: "scheduled",
    RunState.RUNNING: "in_progress",
    RunState.STOPPED: "cancelled",
    RunState.CLOSED: "cancelled",
    RunState.FAILED: "failed",
    RunState.COMPLETED: "completed",
    RunState.PUBLISHING: "completed",
    RunState.PUBLISHED: "completed",
}

OPTIMIZERS = ("adam", "adamw")
"""Without weight decay the two are the same."""

LOSSES = ("sigmoid", "hinge", "ipo")
MLP_LAYERS = ("gate_proj", "up_proj", "down_proj")
OUTPUT_LAYER = "lm_head"


def to_sft(body: wire.SupervisedFineTune) -> Tune:
    if not body.model:
        raise Invalid("the model to start from is required", field="model")
    lora = _lora(body.algorithm_config) if body.algorithm_config is not None else None
    return _tune(body.job_uuid, "sft", RunKind.SFT, body.model, body.training_config, {"lora": lora}, body)


def to_dpo(body: wire.PreferenceOptimize) -> Tune:
    given = body.algorithm_config
    loss = given.loss_type
    if loss is not None and loss not in LOSSES:
        raise Invalid(f"expected one of {', '.join(LOSSES)}", field="algorithm_config.loss_type")
    args = {"beta": given.beta, "loss_type": loss}
    return _tune(body.job_uuid, "dpo", RunKind.DPO, body.finetuned_model, body.training_config, args, body)


def _tune(
    job: str, recipe: str, kind: RunKind, model: str, config: wire.TrainingConfig, args: dict[str, Any], body: object
) -> Tune:
    data = config.data_config
    if data is None:
        raise Invalid("this field is required", field="training_config.data_config")
    given = {**args, **_optimizer(config.optimizer_config), "checkpoint_each_epoch": True}
    return Tune(
        job=job, recipe=recipe, kind=kind, model=model, dataset=data.dataset_id, dialect=DIALECT,
        epochs=config.n_epochs, batch_size=data.batch_size, accumulation=config.gradient_accumulation_steps or 1,
        max_steps_per_epoch=config.max_steps_per_epoch, validation=data.validation_dataset_id,
        args={name: value for name, value in given.items() if value is not None},
        detail={DIALECT: msgspec.to_builtins(body)},
    )  # fmt: skip


def _optimizer(given: wire.OptimizerConfig | None) -> dict[str, Any]:
    if given is None:
        return {}
    if given.optimizer_type not in OPTIMIZERS:
        field = "training_config.optimizer_config.optimizer_type"
        raise Invalid(f"expected one of {', '.join(OPTIMIZERS)}", field=field)
    decay = 0.0 if given.optimizer_type == "adam" else given.weight_decay
    return {"learning_rate": given.lr, "weight_decay": decay, "warmup_steps": given.num_warmup_steps}


def _lora(given: wire.Algorithm) -> dict[str, Any]:
    """The adapter to train; without names of layers it is put on all that it can be."""
    if given.type != "LoRA":
        raise Unsupported(f"the algorithm '{given.type}' is not implemented")
    for name in ("use_dora", "quantize_base"):
        if getattr(given, name):
            raise Unsupported(f"'{name}' is not implemented")
    modules = list(given.lora_attn_modules or ())
    if modules and given.apply_lora_to_mlp:
        modules += MLP_LAYERS
    if modules and given.apply_lora_to_output:
        modules.append(OUTPUT_LAYER)
    wanted = {"rank": given.rank, "alpha": given.alpha, "target_modules": modules or None}
    return {name: value for name, value in wanted.items() if value is not None}


def job_uuid(job: str | None, run: Run) -> str:
    """What the job is called: as its client chose, or the id of a run that another dialect started."""
    return job if job is not None else to_uuid(run.id, Kind.RUN)


def from_job(job: str, run: Run, checkpoints: Sequence[Checkpoint]) -> dict[str, Any]:
    ended = run.ended_at if STATUS[run.state] in ("completed", "failed", "cancelled") else None
    return {
        "job_uuid": job,
        "status": STATUS[run.state],
        "scheduled_at": _time(run.created_at),
        "started_at": _time(run.started_at),
        "completed_at": _time(ended),
        "resources_allocated": None,
        "checkpoints": [from_checkpoint(c, job) for c in checkpoints],
        "progress": run.progress,
        "error": run.error,
    }


def from_checkpoint(item: Checkpoint, job: str) -> dict[str, Any]:
    return {
        "identifier": item.name,
        "created_at": _time(item.created_at),
        "epoch": int(item.epoch),
        "post_training_job_id": job,
        "path": item.path,
        "training_metrics": _metrics(item),
    }


def _metrics(item: Checkpoint) -> dict[str, Any] | None:
    if not item.metrics:
        return None
    names = ("train_loss", "validation_loss", "perplexity")
    return {"epoch": int(item.epoch), **{name: item.metrics.get(name) for name in names}}


def _time(us: int | None) -> str | None:
    return None if us is None else to_rfc3339(us, digits=6)
