"""Every table, as it is after all migrations (a test compares the two).

Times are BIGINT microseconds; ids are 24 hex characters; free JSON is JSON text. Names that people choose are
unique where a client would otherwise get the wrong thing, and nowhere else.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

ID = String(24)
BIG = BigInteger().with_variant(Integer(), "sqlite")
"""A 64-bit row number: SQLite numbers rows itself only for a column that is spelt INTEGER."""


def _id() -> Column[str]:
    return Column("id", ID, primary_key=True)


def _ref(name: str, target: str, *, null: bool = False, cascade: bool = False) -> Column[str]:
    return Column(name, ID, ForeignKey(target, ondelete="CASCADE" if cascade else None), nullable=null)


def _at(name: str, *, null: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=null)


def _text(name: str, default: str = "") -> Column[str]:
    return Column(name, Text, nullable=False, server_default=default)


def _json(name: str, empty: str = "{}") -> Column[object]:
    return Column(name, JSON, nullable=False, server_default=empty)


def _flag(name: str, default: bool = False) -> Column[bool]:
    return Column(name, Boolean, nullable=False, server_default="1" if default else "0")


def _count(name: str, default: int = 0) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default=str(default))


# -- identity -------------------------------------------------------------------------------------------------

spaces = Table(
    "spaces", metadata, _id(), _text("name"), _text("description"), _at("created_at"),
    Column("created_by", ID), _count("updated_at"), _at("deleted_at", null=True),
)  # fmt: skip
users = Table(
    "users", metadata, _id(), Column("email", Text, nullable=False, unique=True), _text("name"),
    _at("created_at"), _flag("disabled"), _json("settings"),
)  # fmt: skip
members = Table(
    "members", metadata,
    Column("space_id", ID, ForeignKey("spaces.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", ID, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True),
    _text("role", "member"), _at("created_at"), _json("permissions", "[]"),
)  # fmt: skip
teams = Table(
    "teams", metadata, _id(), _ref("space_id", "spaces.id", cascade=True), _text("key"), _text("name"),
    _at("created_at"), UniqueConstraint("space_id", "key"),
)  # fmt: skip
team_members = Table(
    "team_members", metadata,
    Column("team_id", ID, ForeignKey("teams.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", ID, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True),
    _text("role"),
)  # fmt: skip
roles = Table(
    "roles", metadata, _id(), _ref("space_id", "spaces.id", cascade=True), _text("key"), _text("name"),
    _json("permissions", "[]"), _at("created_at"), UniqueConstraint("space_id", "key"),
)  # fmt: skip
api_keys = Table(
    "api_keys", metadata, _id(), _ref("user_id", "users.id", cascade=True),
    _ref("space_id", "spaces.id", cascade=True), Column("access_key", String(40), nullable=False, unique=True),
    _text("secret_hash"), _text("prefix"), _text("label"), _at("created_at"), _at("last_used_at", null=True),
    _at("revoked_at", null=True),
)  # fmt: skip
shares = Table(
    "shares", metadata,
    Column("project_id", ID, ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True),
    Column("team_id", ID, ForeignKey("teams.id", ondelete="CASCADE"), primary_key=True),
    _text("role"), _flag("is_owner"),
)  # fmt: skip
external_refs = Table(
    "external_refs", metadata,
    Column("space_id", ID, primary_key=True), Column("dialect", String(20), primary_key=True),
    Column("kind", String(40), primary_key=True), Column("value", String(1000), primary_key=True),
    Column("target_id", ID, nullable=False, index=True),
)  # fmt: skip
audit = Table(
    "audit", metadata, _id(), Column("space_id", ID, nullable=False), _at("at"), Column("user_id", ID),
    _text("action"), _text("kind"), _text("subject_id"), _json("data"), Index("ix_audit_space_id_id", "space_id", "id"),
)  # fmt: skip

# -- projects, runs, queues ---------------------------------------------------------------------------------

projects = Table(
    "projects", metadata, _id(), _ref("space_id", "spaces.id"), Column("name", String(1000), nullable=False),
    Column("key", String(200), nullable=False), _at("created_at"), _at("updated_at"), Column("created_by", ID),
    _text("description"), Column("parent_id", ID, index=True), _json("tags", "[]"), _json("system_tags", "[]"),
    _json("settings"), Column("billing_tag", Text), _text("visibility", "private"), _flag("archived"),
    Column("default_deployment_id", ID), _json("detail"),
    UniqueConstraint("space_id", "name"), UniqueConstraint("space_id", "key"),
)  # fmt: skip
runs = Table(
    "runs", metadata, _id(), _ref("space_id", "spaces.id"), Column("project_id", ID, index=True),
    Column("name", String(1000), nullable=False), _text("kind"), _text("type"), _text("state"),
    Column("created_by", ID), _at("created_at"), _at("updated_at"), _at("changed_at"), _text("status_reason"),
    _text("status_message"), _count("status_changed_at"), _at("started_at", null=True), _at("ended_at", null=True),
    _at("published_at", null=True), _text("comment"), Column("parent_id", ID, index=True),
    Column("queue_id", ID), Column("recipe", Text), _json("args"), _json("params"), _json("configuration"),
    _json("script"), _json("container"), _json("runtime"), _json("detail"), _json("result"), _json("tags", "[]"),
    _json("system_tags", "[]"), _count("last_iteration"), Column("progress", Float), Column("error", Text),
    _count("attempt"), _count("max_attempts", 3), _flag("stop_requested"), Column("last_worker", Text),
    _at("last_worker_at", null=True),
    Index("ix_runs_space_id_updated_at", "space_id", "updated_at", "id"), Index("ix_runs_state", "state", "updated_at"),
)  # fmt: skip
stages = Table(
    "stages", metadata,
    Column("run_id", ID, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True), _text("name"), _text("state"), _count("done"),
    _at("total", null=True), _json("info"), _count("updated_at"),
)  # fmt: skip
artifacts = Table(
    "artifacts", metadata, _id(), _ref("run_id", "runs.id", cascade=True), Column("key", String(1000), nullable=False),
    Column("mode", String(20), nullable=False), _text("type"), _text("uri"), _at("created_at"),
    _at("size", null=True), _text("hash"), Column("blob", Text), _json("detail"),
    UniqueConstraint("run_id", "mode", "key"),
)  # fmt: skip
checkpoints = Table(
    "checkpoints", metadata, _id(), _ref("run_id", "runs.id", cascade=True), _text("name"), _count("step"),
    Column("epoch", Float, nullable=False), _text("path"), _at("created_at"), _json("metrics"),
    Column("model_id", ID), Index("ix_checkpoints_run_id", "run_id", "id"),
)  # fmt: skip
queues = Table(
    "queues", metadata, _id(), _ref("space_id", "spaces.id"), Column("name", String(1000), nullable=False),
    _at("created_at"), _json("tags", "[]"), _json("system_tags", "[]"), _json("metadata"),
    UniqueConstraint("space_id", "name"),
)  # fmt: skip
queue_entries = Table(
    "queue_entries", metadata,
    Column("run_id", ID, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    _ref("queue_id", "queues.id", cascade=True), _count("position"), _at("added_at"), _text("previous_state"),
    Index("ix_queue_entries_queue_id_position", "queue_id", "position"),
)  # fmt: skip
leases = Table(
    "leases", metadata,
    Column("run_id", ID, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True), _text("token"),
    _text("worker"), _count("attempt"), _at("leased_at"), Column("expires_at", BigInteger, nullable=False, index=True),
    _count("lines"),
)  # fmt: skip
workers = Table(
    "workers", metadata, _id(), _ref("space_id", "spaces.id"), Column("name", String(1000), nullable=False),
    Column("user_id", ID), _at("registered_at"), _at("last_seen_at"), _at("expires_at"), _json("queues", "[]"),
    Column("run_id", ID), _text("ip"), _json("tags", "[]"), _json("stats"), UniqueConstraint("space_id", "name"),
)  # fmt: skip

# -- what runs report -----------------------------------------------------------------------------------------

def _summary() -> list[Column[Any]]:
    """What a block, and a whole series, knows of its points. NULL values: NaN, or no finite value at all."""
    return [
        _count("points"), _count("finite"), Column("first_iter", BigInteger), Column("first_value", Float),
        Column("last_iter", BigInteger), Column("last_ts", BigInteger), Column("last_value", Float),
        Column("min_value", Float), Column("min_iter", BigInteger), Column("max_value", Float),
        Column("max_iter", BigInteger), Column("sum_value", Float, nullable=False, server_default="0"),
    ]  # fmt: skip


# `digest` stands for names in unique keys: PostgreSQL's index rows hold 2.7 kB, two long names may be longer.
series = Table(
    "series", metadata, Column("id", BIG, primary_key=True, autoincrement=True),
    _ref("run_id", "runs.id", cascade=True), Column("digest", String(32), nullable=False),
    Column("metric", String(1000), nullable=False), Column("variant", String(1000), nullable=False),
    _flag("listed", True), Column("x_label", Text), *_summary(), _count("tail_rows"), _count("tail_count"),
    Column("single_ts", BigInteger), Column("single_value", Float), UniqueConstraint("run_id", "digest"),
)  # fmt: skip
series_tail = Table(
    "series_tail", metadata, Column("id", BIG, primary_key=True, autoincrement=True),
    Column("series_id", BIG, ForeignKey("series.id", ondelete="CASCADE"), nullable=False), _at("added_at"),
    Column("first_iter", BigInteger, nullable=False), Column("last_iter", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False), Index("ix_series_tail_series_id_added_at", "series_id", "added_at"),
)  # fmt: skip
series_blocks = Table(
    "series_blocks", metadata, Column("id", BIG, primary_key=True, autoincrement=True),
    Column("series_id", BIG, ForeignKey("series.id", ondelete="CASCADE"), nullable=False), *_summary(),
    Column("data", LargeBinary, nullable=False), Index("ix_series_blocks_series_id_first_iter", "series_id", "first_iter"),
)  # fmt: skip
log_chunks = Table(
    "log_chunks", metadata, Column("id", BIG, primary_key=True, autoincrement=True),
    _ref("run_id", "runs.id", cascade=True), _at("first_ts"), _at("last_ts"), Column("lines", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False), Index("ix_log_chunks_run_id_first_ts", "run_id", "first_ts", "id"),
    Index("ix_log_chunks_run_id_last_ts", "run_id", "last_ts", "id", "lines"),
)  # fmt: skip
run_events = Table(
    "run_events", metadata, Column("id", BIG, primary_key=True, autoincrement=True),
    _ref("run_id", "runs.id", cascade=True), Column("type", String(20), nullable=False),
    Column("digest", String(32), nullable=False), Column("metric", String(1000), nullable=False),
    Column("variant", String(1000), nullable=False), Column("iter", BigInteger, nullable=False), _at("ts"),
    _text("key"), _text("url"), Column("data", LargeBinary), UniqueConstraint("run_id", "type", "digest", "iter"),
    Index("ix_run_events_run_id_type_iter", "run_id", "type", "iter"),
)  # fmt: skip

# -- datasets ---------------------------------------------------------------------------------------------------

datasets = Table(
    "datasets", metadata, _id(), _ref("space_id", "spaces.id"), Column("project_id", ID, index=True),
    Column("key", String(1000), nullable=False), Column("name", String(1000), nullable=False), _text("kind"),
    _text("source"), _at("created_at"), _at("updated_at"), Column("created_by", ID), _count("records"),
    _text("purpose"), _text("description"), _json("origin"), _json("metadata"), _json("metrics_usage"),
    _json("tags", "[]"), Column("run_id", ID), UniqueConstraint("space_id", "project_id", "key"),
)  # fmt: skip
dataset_segments = Table(
    "dataset_segments", metadata,
    Column("dataset_id", ID, ForeignKey("datasets.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True), _count("start"), _count("rows"), _count("size"), _text("blob"),
    _at("created_at"),
)  # fmt: skip
dataset_snapshots = Table(
    "dataset_snapshots", metadata, _id(), _ref("dataset_id", "datasets.id", cascade=True), _at("created_at"),
    Column("created_by", ID), _text("description"), _text("status", "active"), _json("tags", "[]"),
    _count("records"), _json("files", "[]"), Index("ix_dataset_snapshots_dataset_id", "dataset_id", "id"),
)  # fmt: skip
dataset_grants = Table(
    "dataset_grants", metadata,
    Column("dataset_id", ID, ForeignKey("datasets.id", ondelete="CASCADE"), primary_key=True),
    Column("target_id", ID, primary_key=True), _text("role"),
)  # fmt: skip
uploads = Table(
    "uploads", metadata, _id(), Column("space_id", ID, nullable=False), Column("created_by", ID), _at("created_at"),
    _text("content_type"), Column("parts", Integer, nullable=False), _json("done", "[]"), _json("detail"),
)  # fmt: skip

# -- models, deployments ------------------------------------------------------------------------------------

models = Table(
    "models", metadata, _id(), _ref("space_id", "spaces.id"), Column("project_id", ID, index=True),
    Column("name", String(1000), nullable=False), Column("key", String(200), nullable=False), _text("kind"),
    _text("format"), _at("created_at"), _at("updated_at"), Column("created_by", ID), _text("description"),
    _text("uri"), _text("framework"), Column("run_id", ID, index=True), Column("parent_id", ID),
    Column("backbone_id", ID), _count("latest_version"), _flag("ready"), _flag("discoverable", True),
    _flag("archived"), _json("tags", "[]"), _json("system_tags", "[]"), _json("labels"), _json("metadata"),
    _json("detail"), UniqueConstraint("space_id", "key"), Index("ix_models_space_id_id", "space_id", "id"),
)  # fmt: skip
model_versions = Table(
    "model_versions", metadata, _id(), _ref("model_id", "models.id", cascade=True),
    Column("number", Integer, nullable=False), _at("created_at"), _at("updated_at"), Column("created_by", ID),
    _text("stage", "None"), _text("description"), Column("run_id", ID, index=True), Column("checkpoint_id", ID),
    Column("blob_prefix", Text), _json("files"), _count("size"), _text("source"), _json("tags"), _json("metrics"),
    _text("format", "none"), Column("backbone_id", ID, index=True), Column("backbone_version", Integer),
    UniqueConstraint("model_id", "number"),
)  # fmt: skip
model_stages = Table(
    "model_stages", metadata, Column("project_id", ID, primary_key=True), _json("labels", "[]"),
)  # fmt: skip
reviews = Table(
    "reviews", metadata, _id(), _ref("version_id", "model_versions.id", cascade=True), _text("target_stage"),
    _text("state"), Column("requested_by", ID), _at("created_at"), _at("updated_at"), _text("notes"),
    _json("reviewers", "[]"), _json("responses", "[]"), Index("ix_reviews_version_id", "version_id", "id"),
)  # fmt: skip
deployments = Table(
    "deployments", metadata, _id(), _ref("space_id", "spaces.id"), Column("project_id", ID, index=True),
    Column("key", String(200), nullable=False), Column("name", String(1000), nullable=False), _text("engine"),
    _at("created_at"), _at("updated_at"), Column("created_by", ID), Column("model_id", ID, index=True),
    Column("version", Integer), _text("task", "chat"), _text("provider"), _text("upstream_model"), _json("config"),
    _flag("attached", True), _flag("desired_online", True), _text("state"), _text("error"),
    Column("allowed_users", JSON), _json("placement"), _json("detail"), UniqueConstraint("space_id", "project_id", "key"),
)  # fmt: skip

# -- interactions, feedback, experiments ----------------------------------------------------------------------

interactions = Table(
    "interactions", metadata, Column("seq", BIG, primary_key=True, autoincrement=True),
    Column("id", ID, nullable=False, unique=True), Column("space_id", ID, nullable=False), Column("project_id", ID),
    _at("created_at"), _json("messages", "[]"), _text("completion"), _text("source", "live"), _text("type", "chat"),
    _text("dialect"), Column("user_id", ID), Column("end_user", Text), Column("model_id", ID),
    Column("deployment_id", ID), _text("model_name"), Column("experiment_id", ID), Column("session_id", ID),
    _text("prompt_hash"), _text("status", "success"), _text("error"), Column("finish_reason", Text),
    _count("prompt_tokens"), _count("completion_tokens"), _count("latency_us"), _at("ttft_us", null=True),
    Column("billing_tag", Text), Column("correlation_id", Text), _json("labels"), _json("parameters"),
    _json("metadata"),
    Index("ix_interactions_space_id_id", "space_id", "id"),
    Index("ix_interactions_project_id_id", "project_id", "id"),
    Index("ix_interactions_project_id_model_id_id", "project_id", "model_id", "id"),
    Index("ix_interactions_project_id_prompt_hash_id", "project_id", "prompt_hash", "id"),
    Index("ix_interactions_session_id_id", "session_id", "id"),
    Index("ix_interactions_space_id_model_name_id", "space_id", "model_name", "id"),
)  # fmt: skip
interaction_labels = Table(
    "interaction_labels", metadata,
    Column("interaction_id", ID, primary_key=True), Column("key", String(200), primary_key=True),
    Column("space_id", ID, nullable=False), Column("project_id", ID), Column("value", String(1000), nullable=False),
    Index("ix_interaction_labels_project_id_key_value", "project_id", "key", "value", "interaction_id"),
)  # fmt: skip
metrics = Table(
    "metrics", metadata, _id(), _ref("space_id", "spaces.id"), Column("key", String(200), nullable=False),
    Column("name", String(1000), nullable=False), _text("kind"), _text("direction"), _at("created_at"),
    _text("description"), Column("lower", Float), Column("upper", Float), UniqueConstraint("space_id", "key"),
)  # fmt: skip
metric_links = Table(
    "metric_links", metadata,
    Column("metric_id", ID, ForeignKey("metrics.id", ondelete="CASCADE"), primary_key=True),
    Column("project_id", ID, ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True), _at("created_at"),
)  # fmt: skip
feedback = Table(
    "feedback", metadata, _id(), Column("space_id", ID, nullable=False), Column("project_id", ID),
    Column("metric_id", ID, nullable=False), _text("kind"), _at("created_at"), Column("value", Float),
    Column("interaction_id", ID, index=True), Column("other_id", ID, index=True), Column("session_id", ID),
    Column("tied", String(10)), Column("user_id", ID), Column("end_user", Text), Column("reason", Text),
    Column("details", Text), Column("experiment_id", ID), Column("model_id", ID), Column("other_model_id", ID),
    Index("ix_feedback_project_id_metric_id_id", "project_id", "metric_id", "id"),
)  # fmt: skip
experiments = Table(
    "experiments", metadata, _id(), _ref("space_id", "spaces.id"), _ref("project_id", "projects.id"),
    Column("key", String(200), nullable=False), _text("name"), Column("metric_id", ID, nullable=False),
    _text("feedback"), _text("state"), _json("deployments", "[]"), Column("traffic", Float, nullable=False),
    _flag("auto_deploy"), _at("created_at"), Column("created_by", ID), _at("ended_at", null=True),
    Column("winner_id", ID), Column("p_value", Float), _count("feedbacks"), _json("statistics"), _json("report"),
    UniqueConstraint("space_id", "key"), Index("ix_experiments_project_id", "project_id", "state"),
)  # fmt: skip

# -- judging ------------------------------------------------------------------------------------------------------

graders = Table(
    "graders", metadata, _id(), _ref("space_id", "spaces.id"), Column("project_id", ID),
    Column("key", String(200), nullable=False), Column("name", String(1000), nullable=False), _text("type"),
    Column("metric_id", ID), _json("config"), _flag("locked"), _at("created_at"), _at("updated_at"),
    Column("created_by", ID), UniqueConstraint("space_id", "project_id", "key"),
)  # fmt: skip
benchmarks = Table(
    "benchmarks", metadata, _id(), _ref("space_id", "spaces.id"), Column("key", String(1000), nullable=False),
    Column("name", String(1000), nullable=False), Column("dataset_id", ID), _json("scoring", "[]"),
    _at("created_at"), _at("updated_at"), Column("created_by", ID), _text("description"), _text("task"),
    _json("metadata"), _json("detail"), UniqueConstraint("space_id", "key"),
)  # fmt: skip
evaluations = Table(
    "evaluations", metadata, _id(), _ref("space_id", "spaces.id"), _ref("benchmark_id", "benchmarks.id", cascade=True),
    _count("number"), _at("created_at"), Column("created_by", ID), Column("run_id", ID, index=True),
    Column("model_id", ID), Column("model_version", Integer), Column("checkpoint_id", ID), _text("status", "pending"),
    _text("error"), _at("finished_at", null=True), _count("rows"), _json("metrics"), _json("config"), _json("result"),
    Column("result_blob", Text), UniqueConstraint("benchmark_id", "number"),
)  # fmt: skip

# -- billing --------------------------------------------------------------------------------------------------------

billing_tags = Table(
    "billing_tags", metadata, Column("space_id", ID, primary_key=True), Column("tag", String(200), primary_key=True),
    _flag("active", True), _at("created_at"),
)  # fmt: skip
usage = Table(
    "usage", metadata, Column("space_id", ID, primary_key=True), Column("hour", BigInteger, primary_key=True),
    Column("project_id", String(24), primary_key=True), Column("deployment_id", String(24), primary_key=True),
    Column("model_name", String(300), primary_key=True), Column("billing_tag", String(200), primary_key=True),
    Column("type", String(40), primary_key=True), Column("user_id", String(24), primary_key=True), _count("calls"),
    _count("errors"), _count("prompt_tokens"), _count("completion_tokens"), _count("latency_us"),
)  # fmt: skip
documents = Table(
    "documents", metadata, _id(), Column("space_id", ID, nullable=False), Column("project_id", ID),
    Column("dialect", String(20), nullable=False), Column("kind", String(40), nullable=False),
    Column("key", String(1000), nullable=False), _at("created_at"), _at("updated_at"), Column("created_by", ID),
    _at("deleted_at", null=True), _json("data"), UniqueConstraint("space_id", "dialect", "kind", "key"),
    Index("ix_documents_space_id_dialect_kind_id", "space_id", "dialect", "kind", "id"),
)  # fmt: skip
"""Small resources that one dialect alone has (an expert, a persona, a widget): kept whole, found by key."""
settings = Table(
    "settings", metadata, Column("space_id", String(24), primary_key=True), Column("name", String(200), primary_key=True),
    _json("value", "null"), _count("updated_at"),
)  # fmt: skip
