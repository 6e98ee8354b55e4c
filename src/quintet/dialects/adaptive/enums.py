"""The closed enums of the contract. Clients refuse a value that they do not know, so every map is total.

Lossy on purpose: a model of another kind is shown as Generation, a provider without a name as OPEN_AI (that is
the protocol it speaks), rows of another kind as the chat kind that asks least of them.
"""

from __future__ import annotations

from quintet.domain.data import DatasetKind, DatasetSource
from quintet.domain.interactions import Direction, ExperimentState, FeedbackKind, InteractionSource, MetricKind
from quintet.domain.models import Deployment, DeploymentState, Model, ModelFormat, ModelKind
from quintet.domain.runs import RunKind, RunState, StageState

METRIC_KIND = {MetricKind.BOOL: "BOOL", MetricKind.SCALAR: "SCALAR"}
DIRECTION = {Direction.HIGHER_IS_BETTER: "HIGHER_IS_BETTER", Direction.LOWER_IS_BETTER: "LOWER_IS_BETTER"}
SOURCE = {
    InteractionSource.LIVE: "LIVE",
    InteractionSource.OFFLINE: "OFFLINE",
    InteractionSource.AUTOMATION: "AUTOMATION",
    InteractionSource.DATASET: "DATASET",
    InteractionSource.EVALUATION: "EVALUATION",
}
MODEL_KIND = {
    ModelKind.GENERATION: "Generation",
    ModelKind.EMBEDDING: "Embedding",
    ModelKind.REWARD: "Generation",
    ModelKind.TABULAR: "Generation",
    ModelKind.OTHER: "Generation",
}
ONLINE = {
    DeploymentState.ONLINE: "ONLINE",
    DeploymentState.PENDING: "PENDING",
    DeploymentState.OFFLINE: "OFFLINE",
    DeploymentState.ERROR: "ERROR",
}
DATASET_KIND = {
    DatasetKind.PROMPT: "PROMPT",
    DatasetKind.PROMPT_COMPLETION: "PROMPT_COMPLETION",
    DatasetKind.PROMPT_COMPLETION_FEEDBACK: "PROMPT_COMPLETION_FEEDBACK",
    DatasetKind.PREFERENCE: "PREFERENCE",
    DatasetKind.QUESTION_ANSWER: "PROMPT_COMPLETION",
    DatasetKind.ROWS: "PROMPT",
}
"""Without FILES: a folder of files has no rows, so this contract does not show it."""

DATASET_SOURCE = {
    DatasetSource.UPLOADED: "UPLOADED",
    DatasetSource.GENERATED: "GENERATED",
    DatasetSource.FILTERED: "FILTERED",
    DatasetSource.URI: "UPLOADED",
    DatasetSource.ROWS: "UPLOADED",
}
CAMPAIGN_STATE = {
    ExperimentState.WARMUP: "WARMUP",
    ExperimentState.RUNNING: "IN_PROGRESS",
    ExperimentState.DONE: "DONE",
    ExperimentState.CANCELLED: "CANCELLED",
}
FEEDBACK_TYPE = {FeedbackKind.DIRECT: "DIRECT", FeedbackKind.COMPARISON: "COMPARISON"}
JOB_STATE = {
    RunState.CREATED: "PENDING",
    RunState.QUEUED: "PENDING",
    RunState.RUNNING: "RUNNING",
    RunState.STOPPED: "CANCELED",
    RunState.CLOSED: "CANCELED",
    RunState.FAILED: "FAILED",
    RunState.COMPLETED: "COMPLETED",
    RunState.PUBLISHING: "COMPLETED",
    RunState.PUBLISHED: "COMPLETED",
}
STAGE_STATE = {
    StageState.PENDING: "PENDING",
    StageState.RUNNING: "RUNNING",
    StageState.DONE: "DONE",
    StageState.CANCELLED: "CANCELLED",
    StageState.ERROR: "ERROR",
}
JOB_KIND = {
    RunKind.TASK: "CUSTOM",
    RunKind.PRETRAIN: "TRAINING",
    RunKind.SFT: "TRAINING",
    RunKind.DPO: "TRAINING",
    RunKind.EVALUATE: "EVALUATION",
    RunKind.CUSTOM: "CUSTOM",
}

PROVIDERS = {
    "azure": "AZURE",
    "openai": "OPEN_AI",
    "google": "GOOGLE",
    "anthropic": "ANTHROPIC",
    "nvidia": "NVIDIA",
}
"""By the core's own name of a provider."""

OPENAI_MODELS = {
    "GPT41": "gpt-4.1",
    "GPT4O": "gpt-4o",
    "GPT4O_MINI": "gpt-4o-mini",
    "O1": "o1",
    "O1_MINI": "o1-mini",
    "O3_MINI": "o3-mini",
    "O4_MINI": "o4-mini",
    "O3": "o3",
    "GPT4": "gpt-4",
    "GPT4_TURBO": "gpt-4-turbo",
    "GPT3_5_TURBO": "gpt-3.5-turbo",
    "GPT5": "gpt-5",
    "GPT5_MINI": "gpt-5-mini",
    "GPT5_NANO": "gpt-5-nano",
    "GPT41_MINI": "gpt-4.1-mini",
}


def provider_name(model: Model) -> str:
    """Whose model it is; HARMONY is the contract's word for "ours"."""
    if model.format is not ModelFormat.UPSTREAM:
        return "HARMONY"
    upstream = model.detail.get("upstream", {})
    return PROVIDERS.get(str(upstream.get("provider", "")), "OPEN_AI")


def service_status(service: Deployment, state: DeploymentState) -> str:
    """The status of a model service: what was asked for first, then what is."""
    if not service.attached:
        return "DETACHED"
    return ONLINE[state] if service.desired_online else "TURNED_OFF"
