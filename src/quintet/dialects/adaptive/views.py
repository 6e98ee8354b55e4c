"""Core objects as the schema shows them: plain fields as entries, the object itself under `self`.

Fields that need another look-up are resolvers beside their noun, and find what they need in `self`. Times stay
microseconds here; the scalars turn them.
"""

from __future__ import annotations

from typing import Any

from quintet.app.serving.services import COMPUTE
from quintet.dialects.adaptive import enums, ids
from quintet.dialects.adaptive.ids import shown
from quintet.domain.data import Dataset
from quintet.domain.identity import Role, Team, User
from quintet.domain.ids import to_uuid
from quintet.domain.interactions import Experiment, Feedback, Interaction, Metric
from quintet.domain.models import Deployment, Model, ModelFormat, ModelKind
from quintet.domain.projects import Project

View = dict[str, Any]

COMPUTE_DEFAULTS = {"tp": 1, "kvCacheLen": 300_000, "maxSeqLen": 8_192}
"""What a compute configuration shows for entries that nobody set: one GPU, and the documented cache size."""


def use_case(item: Project) -> View:
    return {
        "self": item,
        "id": to_uuid(item.id, ids.USE_CASE),
        "key": item.key,
        "name": item.name,
        "description": item.description,
        "createdAt": item.created_at,
        "isArchived": item.archived,
    }


def model(item: Model) -> View:
    external = item.format is ModelFormat.UPSTREAM
    compute = item.detail.get(COMPUTE)
    return {
        "self": item,
        "id": to_uuid(item.id, ids.MODEL),
        "key": item.key,
        "name": item.name,
        "createdAt": item.created_at,
        "providerName": enums.provider_name(item),
        "isExternal": external,
        "order": 0,
        "inStorage": item.latest_version > 0,
        "isAdapter": item.format is ModelFormat.ADAPTER,
        "kind": enums.MODEL_KIND[item.kind],
        "size": None,
        "computeConfig": {**COMPUTE_DEFAULTS, **compute} if compute and not external else None,
    }


def upstream_model(item: Deployment) -> View:
    """The model behind a service that names none in the registry: an upstream's, known by its deployment."""
    kind = ModelKind.EMBEDDING if item.task == "embedding" else ModelKind.GENERATION
    return {
        "self": None,
        "id": to_uuid(item.id, ids.MODEL),
        "key": item.key,
        "name": item.name,
        "createdAt": item.created_at,
        "online": "ONLINE" if item.attached else "OFFLINE",
        "providerName": enums.PROVIDERS.get(item.provider, "OPEN_AI"),
        "isExternal": True,
        "order": 0,
        "inStorage": False,
        "isAdapter": False,
        "isTraining": False,
        "kind": enums.MODEL_KIND[kind],
        "useCases": [],
        "modelServices": [],
    }


def service(item: Deployment) -> View:
    return {
        "self": item,
        "id": to_uuid(item.id, ids.MODEL_SERVICE),
        "useCaseId": shown(item.project_id, ids.USE_CASE),
        "key": item.key,
        "name": item.name,
        "createdAt": item.created_at,
        "attached": item.attached,
        "desiredOnline": item.desired_online,
        "systemPromptTemplate": None,
        "toolProviders": [],
        "placement": _placement(item),
    }


def _placement(item: Deployment) -> View | None:
    pools = item.placement.get("compute_pools")
    if pools is None:
        return None
    return {"computePools": pools, "maxTtftMs": item.placement.get("max_ttft_ms")}


def metric(item: Metric) -> View:
    return {
        "self": item,
        "id": to_uuid(item.id, ids.METRIC),
        "key": item.key,
        "name": item.name,
        "createdAt": item.created_at,
        "kind": enums.METRIC_KIND[item.kind],
        "description": item.description,
        "scoringType": enums.DIRECTION[item.direction],
        "unit": None,
    }


def metric_in(item: Metric, project: Project) -> View:
    """A metric as one use case sees it."""
    return {**metric(item), "project": project}


def completion(item: Interaction) -> View:
    usage = {
        "promptTokens": item.prompt_tokens,
        "completionTokens": item.completion_tokens,
        "totalTokens": item.prompt_tokens + item.completion_tokens,
    }
    timings = {"latency_ms": item.latency_us / 1e3}
    if item.ttft_us is not None:
        timings["ttft_ms"] = item.ttft_us / 1e3
    given = {k: v for k, v in item.metadata.items() if k != ids.SESSION_GIVEN}
    return {
        "self": item,
        "id": to_uuid(item.id, ids.COMPLETION),
        "promptHash": item.prompt_hash or None,
        "chatMessages": [{"role": str(m.get("role", "")), "content": text_of(m.get("content"))} for m in item.messages],
        "source": enums.SOURCE[item.source],
        "createdAt": item.created_at,
        "hasUserMetadata": bool(given),
        "userMetadata": given or None,
        "metadata": {
            "parameters": item.parameters or None,
            "timings": timings if item.latency_us else None,
            "usage": usage if item.prompt_tokens or item.completion_tokens else None,
            "system": None,
        },
    }


def text_of(content: Any) -> str:
    """The text of a message; of parts the texts, each image as its place."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = [p.get("text") if isinstance(p, dict) and p.get("type") == "text" else "[image]" for p in content]
    return "\n".join(str(text) for text in texts if text is not None)


def direct_feedback(item: Feedback) -> View:
    return {
        "self": item,
        "id": to_uuid(item.id, ids.FEEDBACK),
        "value": item.value,
        "userId": ids.person(item.end_user) if item.end_user else to_uuid(item.user_id or ids.NOTHING, ids.USER),
        "reason": item.reason,
        "details": item.details,
        "createdAt": item.created_at,
    }


def comparison(item: Feedback) -> View:
    return {"self": item, "id": to_uuid(item.id, ids.COMPARISON), "createdAt": item.created_at}


def dataset(item: Dataset) -> View:
    return {
        "self": item,
        "id": to_uuid(item.id, ids.DATASET),
        "key": item.key,
        "name": item.name,
        "createdAt": item.created_at,
        "kind": enums.DATASET_KIND[item.kind],
        "records": item.records,
        "source": enums.DATASET_SOURCE[item.source],
        "deleted": False,
    }


def campaign(item: Experiment) -> View:
    return {
        "self": item,
        "id": to_uuid(item.id, ids.CAMPAIGN),
        "key": item.key,
        "name": item.name,
        "autoDeploy": item.auto_deploy,
        "status": enums.CAMPAIGN_STATE[item.state],
        "feedbackType": enums.FEEDBACK_TYPE[item.feedback],
        "trafficSplit": item.traffic,
        "beginDate": item.created_at,
        "endDate": item.ended_at,
        "createdAt": item.created_at,
        "feedbacks": item.feedbacks,
        "hasEnoughFeedbacks": bool(item.report.get("enough", False)),
    }


def team(item: Team) -> View:
    return {"id": to_uuid(item.id, ids.TEAM), "key": item.key, "name": item.name, "createdAt": item.created_at}


def role(item: Role) -> View:
    return {
        "id": to_uuid(item.id, ids.ROLE),
        "key": item.key,
        "name": item.name,
        "createdAt": item.created_at,
        "permissions": sorted(item.permissions),
    }


def user(item: User) -> View:
    return {
        "self": item,
        "id": to_uuid(item.id, ids.USER),
        "email": item.email,
        "name": item.name,
        "createdAt": item.created_at,
        "deleted": item.disabled,
        "deletedAt": None,
    }
