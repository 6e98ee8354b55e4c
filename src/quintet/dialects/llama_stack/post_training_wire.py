"""The bodies of trainings."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class DataConfig(Struct):
    """Rows say themselves of which format they are, and are always shuffled."""

    dataset_id: str
    batch_size: int
    shuffle: bool = True
    data_format: str | None = None
    validation_dataset_id: str | None = None
    packed: bool | None = None
    train_on_input: bool | None = None


class OptimizerConfig(Struct):
    lr: float
    weight_decay: float = 0.0
    num_warmup_steps: int = 0
    optimizer_type: str = "adamw"


class TrainingConfig(Struct):
    """`max_steps_per_epoch` 0 is no limit."""

    n_epochs: int
    data_config: DataConfig | None = None
    max_steps_per_epoch: int | None = None
    gradient_accumulation_steps: int | None = None
    max_validation_steps: int | None = None
    optimizer_config: OptimizerConfig | None = None
    efficiency_config: dict[str, Any] | None = None
    dtype: str | None = None


class Algorithm(Struct):
    """LoRA; `lora_attn_modules` are names of layers."""

    type: str
    rank: int | None = None
    alpha: float | None = None
    lora_attn_modules: list[str] | None = None
    apply_lora_to_mlp: bool = False
    apply_lora_to_output: bool = False
    use_dora: bool | None = None
    quantize_base: bool | None = None


class DpoAlgorithm(Struct):
    beta: float
    loss_type: str | None = None


class SupervisedFineTune(Struct):
    job_uuid: str
    training_config: TrainingConfig
    model: str | None = None
    algorithm_config: Algorithm | None = None
    checkpoint_dir: str | None = None
    hyperparam_search_config: dict[str, Any] | None = None
    logger_config: dict[str, Any] | None = None


class PreferenceOptimize(Struct):
    job_uuid: str
    finetuned_model: str
    algorithm_config: DpoAlgorithm
    training_config: TrainingConfig
    hyperparam_search_config: dict[str, Any] | None = None
    logger_config: dict[str, Any] | None = None


class CancelJob(Struct):
    job_uuid: str
