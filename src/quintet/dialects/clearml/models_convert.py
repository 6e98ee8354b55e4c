"""Models as documents, and their metadata, which this dialect keeps as typed items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from quintet.dialects.clearml import ids
from quintet.dialects.clearml.envelope import stamp
from quintet.dialects.clearml.tasks_convert import DIALECT
from quintet.domain.models import Model
from quintet.domain.runs import JsonObject

FIELDS = frozenset(
    {"id", "company", "user", "name", "created", "last_update", "last_change", "comment", "tags", "system_tags",
     "task", "project", "parent", "uri", "framework", "design", "labels", "ready", "ui_cache", "metadata",
     "last_iteration", "last_metrics", "stats", "company_origin", "last_changed_by", "unique_metrics"}
)  # fmt: skip


class MetadataItem(msgspec.Struct):
    key: str
    type: str | None = None
    value: str | None = None


def model_document(model: Model) -> JsonObject:
    own: JsonObject = model.detail.get(DIALECT, {})
    out: JsonObject = {
        "id": ids.model_id(model.id),
        "company": ids.company_id(model.space_id),
        "user": ids.user_id(model.created_by),
        "name": model.name,
        "created": stamp(model.created_at),
        "last_update": stamp(model.updated_at),
        "last_change": stamp(model.updated_at),
        "tags": list(model.tags),
        "system_tags": list(model.system_tags),
        "uri": model.uri,
        "design": own.get("design", {}),
        "ui_cache": own.get("ui_cache", {}),
        "labels": model.labels,
        "ready": model.ready,
        "metadata": {key: _metadata_out(key, value) for key, value in model.metadata.items()},
        "last_iteration": 0,
        "last_metrics": {},
    }
    if model.description:
        out["comment"] = model.description
    if model.framework:
        out["framework"] = model.framework
    for name, ident, spell in (
        ("project", model.project_id, ids.project_id),
        ("task", model.run_id, ids.task_id),
        ("parent", model.parent_id, ids.model_id),
    ):
        if ident is not None:
            out[name] = spell(ident)
    return out


def _metadata_out(key: str, value: Any) -> JsonObject:
    """Metadata of another dialect is a plain value; it is shown as text."""
    if isinstance(value, Mapping) and "value" in value:
        return {"key": key, "type": value.get("type"), "value": value["value"]}
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return {"key": key, "type": "str" if isinstance(value, str) else None, "value": text}


def metadata_in(items: Sequence[MetadataItem]) -> dict[str, JsonObject]:
    return {item.key: {"type": item.type, "value": item.value} for item in items}
