"""The first schema: every table, and the full-text index of interactions as each database spells it."""

from typing import Any

from alembic import op
from sqlalchemy import JSON, BigInteger, Boolean, Column, Float, Integer, LargeBinary, String, Text
from sqlalchemy import ForeignKeyConstraint as Foreign
from sqlalchemy import PrimaryKeyConstraint as Primary
from sqlalchemy import UniqueConstraint as Unique

revision = "0001"
down_revision = None

ID = String(24)
ROW = BigInteger().with_variant(Integer(), "sqlite")


def need(name: str, kind: Any = ID, default: str | None = None) -> Column[Any]:
    """A column that always has a value: an id, or what `kind` says."""
    return Column(name, kind, nullable=False, server_default=default)


def at(name: str) -> Column[Any]:
    """A time in microseconds."""
    return need(name, BigInteger())


def count(name: str, default: str = "0") -> Column[Any]:
    return need(name, BigInteger(), default)


def words(name: str, default: str = "") -> Column[Any]:
    return need(name, Text(), default)


def tree(name: str, default: str = "{}") -> Column[Any]:
    return need(name, JSON(), default)


def index(table: str, *columns: str, name: str = "") -> None:
    op.create_index(name or f"ix_{table}_{'_'.join(columns)}", table, list(columns))


def upgrade() -> None:
    _tables_1()
    _tables_2()
    _tables_3()
    _tables_4()
    _search()


def _tables_1() -> None:
    op.create_table(
        "audit", need("id"), need("space_id"), at("at"), Column("user_id", ID), words("action"), words("kind"),
        words("subject_id"), tree("data"), Primary("id", name="pk_audit"),
    )  # fmt: skip
    index("audit", "space_id", "id")
    op.create_table(
        "billing_tags", need("space_id"), need("tag", String(200)), need("active", Boolean(), "1"),
        at("created_at"), Primary("space_id", "tag", name="pk_billing_tags"),
    )  # fmt: skip
    op.create_table(
        "documents", need("id"), need("space_id"), Column("project_id", ID), need("dialect", String(20)),
        need("kind", String(40)), need("key", String(1000)), at("created_at"), at("updated_at"),
        Column("created_by", ID), Column("deleted_at", BigInteger()), tree("data"),
        Primary("id", name="pk_documents"),
        Unique("space_id", "dialect", "kind", "key", name="uq_documents_space_id_dialect_kind_key"),
    )  # fmt: skip
    index("documents", "space_id", "dialect", "kind", "id")
    op.create_table(
        "external_refs", need("space_id"), need("dialect", String(20)), need("kind", String(40)),
        need("value", String(1000)), need("target_id"),
        Primary("space_id", "dialect", "kind", "value", name="pk_external_refs"),
    )  # fmt: skip
    index("external_refs", "target_id")
    op.create_table(
        "feedback", need("id"), need("space_id"), Column("project_id", ID), need("metric_id"), words("kind"),
        at("created_at"), Column("value", Float()), Column("interaction_id", ID), Column("other_id", ID),
        Column("session_id", ID), Column("tied", String(10)), Column("user_id", ID), Column("end_user", Text()),
        Column("reason", Text()), Column("details", Text()), Column("experiment_id", ID), Column("model_id", ID),
        Column("other_model_id", ID), Primary("id", name="pk_feedback"),
    )  # fmt: skip
    index("feedback", "interaction_id")
    index("feedback", "other_id")
    index("feedback", "project_id", "metric_id", "id")
    op.create_table(
        "interaction_labels", need("interaction_id"), need("key", String(200)), need("space_id"),
        Column("project_id", ID), need("value", String(1000)),
        Primary("interaction_id", "key", name="pk_interaction_labels"),
    )  # fmt: skip
    index(
        "interaction_labels", "project_id", "key", "value", "interaction_id",
        name="ix_interaction_labels_project_id_key_value",
    )  # fmt: skip
    op.create_table(
        "interactions", Column("seq", ROW, autoincrement=True, nullable=False), need("id"), need("space_id"),
        Column("project_id", ID), at("created_at"), tree("messages", "[]"), words("completion"),
        words("source", "live"), words("type", "chat"), words("dialect"), Column("user_id", ID),
        Column("end_user", Text()), Column("model_id", ID), Column("deployment_id", ID), words("model_name"),
        Column("experiment_id", ID), Column("session_id", ID), words("prompt_hash"), words("status", "success"),
        words("error"), Column("finish_reason", Text()), count("prompt_tokens"), count("completion_tokens"),
        count("latency_us"), Column("ttft_us", BigInteger()), Column("billing_tag", Text()),
        Column("correlation_id", Text()), tree("labels"), tree("parameters"), tree("metadata"),
        Primary("seq", name="pk_interactions"), Unique("id", name="uq_interactions_id"),
    )  # fmt: skip
    index("interactions", "project_id", "id")
    index("interactions", "project_id", "model_id", "id")
    index("interactions", "project_id", "prompt_hash", "id")
    index("interactions", "session_id", "id")
    index("interactions", "space_id", "id")
    index("interactions", "space_id", "model_name", "id")
    op.create_table(
        "model_stages", need("project_id"), tree("labels", "[]"), Primary("project_id", name="pk_model_stages"),
    )  # fmt: skip
    op.create_table(
        "settings", need("space_id"), need("name", String(200)), tree("value", "null"), count("updated_at"),
        Primary("space_id", "name", name="pk_settings"),
    )  # fmt: skip
    op.create_table(
        "spaces", need("id"), words("name"), words("description"), at("created_at"), Column("created_by", ID),
        count("updated_at"), Column("deleted_at", BigInteger()), Primary("id", name="pk_spaces"),
    )  # fmt: skip
    op.create_table(
        "uploads", need("id"), need("space_id"), Column("created_by", ID), at("created_at"), words("content_type"),
        need("parts", Integer()), tree("done", "[]"), tree("detail"), Primary("id", name="pk_uploads"),
    )  # fmt: skip
    op.create_table(
        "usage", need("space_id"), at("hour"), need("project_id"), need("deployment_id"),
        need("model_name", String(300)), need("billing_tag", String(200)), need("type", String(40)),
        need("user_id"), count("calls"), count("errors"), count("prompt_tokens"), count("completion_tokens"),
        count("latency_us"), Primary("space_id", "hour", "project_id", "deployment_id", "model_name", "billing_tag",
        "type", "user_id", name="pk_usage"),
    )  # fmt: skip


def _tables_2() -> None:
    op.create_table(
        "users", need("id"), need("email", Text()), words("name"), at("created_at"),
        need("disabled", Boolean(), "0"), tree("settings"), Primary("id", name="pk_users"),
        Unique("email", name="uq_users_email"),
    )  # fmt: skip
    op.create_table(
        "api_keys", need("id"), need("user_id"), need("space_id"), need("access_key", String(40)),
        words("secret_hash"), words("prefix"), words("label"), at("created_at"),
        Column("last_used_at", BigInteger()), Column("revoked_at", BigInteger()),
        Foreign(["space_id"], ["spaces.id"], name="fk_api_keys_space_id", ondelete="CASCADE"),
        Foreign(["user_id"], ["users.id"], name="fk_api_keys_user_id", ondelete="CASCADE"),
        Primary("id", name="pk_api_keys"), Unique("access_key", name="uq_api_keys_access_key"),
    )  # fmt: skip
    op.create_table(
        "benchmarks", need("id"), need("space_id"), need("key", String(1000)), need("name", String(1000)),
        Column("dataset_id", ID), tree("scoring", "[]"), at("created_at"), at("updated_at"),
        Column("created_by", ID), words("description"), words("task"), tree("metadata"), tree("detail"),
        Foreign(["space_id"], ["spaces.id"], name="fk_benchmarks_space_id"), Primary("id", name="pk_benchmarks"),
        Unique("space_id", "key", name="uq_benchmarks_space_id_key"),
    )  # fmt: skip
    op.create_table(
        "datasets", need("id"), need("space_id"), Column("project_id", ID), need("key", String(1000)),
        need("name", String(1000)), words("kind"), words("source"), at("created_at"), at("updated_at"),
        Column("created_by", ID), count("records"), words("purpose"), words("description"), tree("origin"),
        tree("metadata"), tree("metrics_usage"), tree("tags", "[]"), Column("run_id", ID),
        Foreign(["space_id"], ["spaces.id"], name="fk_datasets_space_id"), Primary("id", name="pk_datasets"),
        Unique("space_id", "project_id", "key", name="uq_datasets_space_id_project_id_key"),
    )  # fmt: skip
    index("datasets", "project_id")
    op.create_table(
        "deployments", need("id"), need("space_id"), Column("project_id", ID), need("key", String(200)),
        need("name", String(1000)), words("engine"), at("created_at"), at("updated_at"), Column("created_by", ID),
        Column("model_id", ID), Column("version", Integer()), words("task", "chat"), words("provider"),
        words("upstream_model"), tree("config"), need("attached", Boolean(), "1"),
        need("desired_online", Boolean(), "1"), words("state"), words("error"), Column("allowed_users", JSON()),
        tree("placement"), tree("detail"), Foreign(["space_id"], ["spaces.id"], name="fk_deployments_space_id"),
        Primary("id", name="pk_deployments"),
        Unique("space_id", "project_id", "key", name="uq_deployments_space_id_project_id_key"),
    )  # fmt: skip
    index("deployments", "model_id")
    index("deployments", "project_id")
    op.create_table(
        "graders", need("id"), need("space_id"), Column("project_id", ID), need("key", String(200)),
        need("name", String(1000)), words("type"), Column("metric_id", ID), tree("config"),
        need("locked", Boolean(), "0"), at("created_at"), at("updated_at"), Column("created_by", ID),
        Foreign(["space_id"], ["spaces.id"], name="fk_graders_space_id"), Primary("id", name="pk_graders"),
        Unique("space_id", "project_id", "key", name="uq_graders_space_id_project_id_key"),
    )  # fmt: skip
    op.create_table(
        "members", need("space_id"), need("user_id"), words("role", "member"), at("created_at"),
        tree("permissions", "[]"),
        Foreign(["space_id"], ["spaces.id"], name="fk_members_space_id", ondelete="CASCADE"),
        Foreign(["user_id"], ["users.id"], name="fk_members_user_id", ondelete="CASCADE"),
        Primary("space_id", "user_id", name="pk_members"),
    )  # fmt: skip
    index("members", "user_id")
    op.create_table(
        "metrics", need("id"), need("space_id"), need("key", String(200)), need("name", String(1000)),
        words("kind"), words("direction"), at("created_at"), words("description"), Column("lower", Float()),
        Column("upper", Float()), Foreign(["space_id"], ["spaces.id"], name="fk_metrics_space_id"),
        Primary("id", name="pk_metrics"), Unique("space_id", "key", name="uq_metrics_space_id_key"),
    )  # fmt: skip
    op.create_table(
        "models", need("id"), need("space_id"), Column("project_id", ID), need("name", String(1000)),
        need("key", String(200)), words("kind"), words("format"), at("created_at"), at("updated_at"),
        Column("created_by", ID), words("description"), words("uri"), words("framework"), Column("run_id", ID),
        Column("parent_id", ID), Column("backbone_id", ID), count("latest_version"), need("ready", Boolean(), "0"),
        need("discoverable", Boolean(), "1"), need("archived", Boolean(), "0"), tree("tags", "[]"),
        tree("system_tags", "[]"), tree("labels"), tree("metadata"), tree("detail"),
        Foreign(["space_id"], ["spaces.id"], name="fk_models_space_id"), Primary("id", name="pk_models"),
        Unique("space_id", "key", name="uq_models_space_id_key"),
    )  # fmt: skip
    index("models", "project_id")
    index("models", "run_id")
    index("models", "space_id", "id")
    op.create_table(
        "projects", need("id"), need("space_id"), need("name", String(1000)), need("key", String(200)),
        at("created_at"), at("updated_at"), Column("created_by", ID), words("description"), Column("parent_id", ID),
        tree("tags", "[]"), tree("system_tags", "[]"), tree("settings"), Column("billing_tag", Text()),
        words("visibility", "private"), need("archived", Boolean(), "0"), Column("default_deployment_id", ID),
        tree("detail"), Foreign(["space_id"], ["spaces.id"], name="fk_projects_space_id"),
        Primary("id", name="pk_projects"), Unique("space_id", "key", name="uq_projects_space_id_key"),
        Unique("space_id", "name", name="uq_projects_space_id_name"),
    )  # fmt: skip
    index("projects", "parent_id")
    op.create_table(
        "queues", need("id"), need("space_id"), need("name", String(1000)), at("created_at"), tree("tags", "[]"),
        tree("system_tags", "[]"), tree("metadata"),
        Foreign(["space_id"], ["spaces.id"], name="fk_queues_space_id"), Primary("id", name="pk_queues"),
        Unique("space_id", "name", name="uq_queues_space_id_name"),
    )  # fmt: skip
    op.create_table(
        "roles", need("id"), need("space_id"), words("key"), words("name"), tree("permissions", "[]"),
        at("created_at"), Foreign(["space_id"], ["spaces.id"], name="fk_roles_space_id", ondelete="CASCADE"),
        Primary("id", name="pk_roles"), Unique("space_id", "key", name="uq_roles_space_id_key"),
    )  # fmt: skip


def _tables_3() -> None:
    op.create_table(
        "runs", need("id"), need("space_id"), Column("project_id", ID), need("name", String(1000)), words("kind"),
        words("type"), words("state"), Column("created_by", ID), at("created_at"), at("updated_at"),
        at("changed_at"), words("status_reason"), words("status_message"), count("status_changed_at"),
        Column("started_at", BigInteger()), Column("ended_at", BigInteger()), Column("published_at", BigInteger()),
        words("comment"), Column("parent_id", ID), Column("queue_id", ID), Column("recipe", Text()), tree("args"),
        tree("params"), tree("configuration"), tree("script"), tree("container"), tree("runtime"), tree("detail"),
        tree("result"), tree("tags", "[]"), tree("system_tags", "[]"), count("last_iteration"),
        Column("progress", Float()), Column("error", Text()), count("attempt"), count("max_attempts", "3"),
        need("stop_requested", Boolean(), "0"), Column("last_worker", Text()),
        Column("last_worker_at", BigInteger()), Foreign(["space_id"], ["spaces.id"], name="fk_runs_space_id"),
        Primary("id", name="pk_runs"),
    )  # fmt: skip
    index("runs", "parent_id")
    index("runs", "project_id")
    index("runs", "space_id", "updated_at", "id", name="ix_runs_space_id_updated_at")
    index("runs", "state", "updated_at", name="ix_runs_state")
    op.create_table(
        "teams", need("id"), need("space_id"), words("key"), words("name"), at("created_at"),
        Foreign(["space_id"], ["spaces.id"], name="fk_teams_space_id", ondelete="CASCADE"),
        Primary("id", name="pk_teams"), Unique("space_id", "key", name="uq_teams_space_id_key"),
    )  # fmt: skip
    op.create_table(
        "workers", need("id"), need("space_id"), need("name", String(1000)), Column("user_id", ID),
        at("registered_at"), at("last_seen_at"), at("expires_at"), tree("queues", "[]"), Column("run_id", ID),
        words("ip"), tree("tags", "[]"), tree("stats"),
        Foreign(["space_id"], ["spaces.id"], name="fk_workers_space_id"), Primary("id", name="pk_workers"),
        Unique("space_id", "name", name="uq_workers_space_id_name"),
    )  # fmt: skip
    op.create_table(
        "artifacts", need("id"), need("run_id"), need("key", String(1000)), need("mode", String(20)), words("type"),
        words("uri"), at("created_at"), Column("size", BigInteger()), words("hash"), Column("blob", Text()),
        tree("detail"), Foreign(["run_id"], ["runs.id"], name="fk_artifacts_run_id", ondelete="CASCADE"),
        Primary("id", name="pk_artifacts"), Unique("run_id", "mode", "key", name="uq_artifacts_run_id_mode_key"),
    )  # fmt: skip
    op.create_table(
        "checkpoints", need("id"), need("run_id"), words("name"), count("step"), need("epoch", Float()),
        words("path"), at("created_at"), tree("metrics"), Column("model_id", ID),
        Foreign(["run_id"], ["runs.id"], name="fk_checkpoints_run_id", ondelete="CASCADE"),
        Primary("id", name="pk_checkpoints"),
    )  # fmt: skip
    index("checkpoints", "run_id", "id", name="ix_checkpoints_run_id")
    op.create_table(
        "dataset_grants", need("dataset_id"), need("target_id"), words("role"),
        Foreign(["dataset_id"], ["datasets.id"], name="fk_dataset_grants_dataset_id", ondelete="CASCADE"),
        Primary("dataset_id", "target_id", name="pk_dataset_grants"),
    )  # fmt: skip
    op.create_table(
        "dataset_segments", need("dataset_id"), need("position", Integer()), count("start"), count("rows"),
        count("size"), words("blob"), at("created_at"),
        Foreign(["dataset_id"], ["datasets.id"], name="fk_dataset_segments_dataset_id", ondelete="CASCADE"),
        Primary("dataset_id", "position", name="pk_dataset_segments"),
    )  # fmt: skip
    op.create_table(
        "dataset_snapshots", need("id"), need("dataset_id"), at("created_at"), Column("created_by", ID),
        words("description"), words("status", "active"), tree("tags", "[]"), count("records"), tree("files", "[]"),
        Foreign(["dataset_id"], ["datasets.id"], name="fk_dataset_snapshots_dataset_id", ondelete="CASCADE"),
        Primary("id", name="pk_dataset_snapshots"),
    )  # fmt: skip
    index("dataset_snapshots", "dataset_id", "id", name="ix_dataset_snapshots_dataset_id")
    op.create_table(
        "evaluations", need("id"), need("space_id"), need("benchmark_id"), count("number"), at("created_at"),
        Column("created_by", ID), Column("run_id", ID), Column("model_id", ID), Column("model_version", Integer()),
        Column("checkpoint_id", ID), words("status", "pending"), words("error"),
        Column("finished_at", BigInteger()), count("rows"), tree("metrics"), tree("config"), tree("result"),
        Column("result_blob", Text()),
        Foreign(["benchmark_id"], ["benchmarks.id"], name="fk_evaluations_benchmark_id", ondelete="CASCADE"),
        Foreign(["space_id"], ["spaces.id"], name="fk_evaluations_space_id"), Primary("id", name="pk_evaluations"),
        Unique("benchmark_id", "number", name="uq_evaluations_benchmark_id_number"),
    )  # fmt: skip
    index("evaluations", "run_id")
    op.create_table(
        "experiments", need("id"), need("space_id"), need("project_id"), need("key", String(200)), words("name"),
        need("metric_id"), words("feedback"), words("state"), tree("deployments", "[]"), need("traffic", Float()),
        need("auto_deploy", Boolean(), "0"), at("created_at"), Column("created_by", ID),
        Column("ended_at", BigInteger()), Column("winner_id", ID), Column("p_value", Float()), count("feedbacks"),
        tree("statistics"), tree("report"),
        Foreign(["project_id"], ["projects.id"], name="fk_experiments_project_id"),
        Foreign(["space_id"], ["spaces.id"], name="fk_experiments_space_id"), Primary("id", name="pk_experiments"),
        Unique("space_id", "key", name="uq_experiments_space_id_key"),
    )  # fmt: skip
    index("experiments", "project_id", "state", name="ix_experiments_project_id")
    op.create_table(
        "leases", need("run_id"), words("token"), words("worker"), count("attempt"), at("leased_at"),
        at("expires_at"), count("lines"),
        Foreign(["run_id"], ["runs.id"], name="fk_leases_run_id", ondelete="CASCADE"),
        Primary("run_id", name="pk_leases"),
    )  # fmt: skip
    index("leases", "expires_at")
    op.create_table(
        "log_chunks", Column("id", ROW, autoincrement=True, nullable=False), need("run_id"), at("first_ts"),
        at("last_ts"), need("lines", Integer()), need("data", LargeBinary()),
        Foreign(["run_id"], ["runs.id"], name="fk_log_chunks_run_id", ondelete="CASCADE"),
        Primary("id", name="pk_log_chunks"),
    )  # fmt: skip
    index("log_chunks", "run_id", "first_ts", "id", name="ix_log_chunks_run_id_first_ts")
    index("log_chunks", "run_id", "last_ts", "id", "lines", name="ix_log_chunks_run_id_last_ts")


def _tables_4() -> None:
    op.create_table(
        "metric_links", need("metric_id"), need("project_id"), at("created_at"),
        Foreign(["metric_id"], ["metrics.id"], name="fk_metric_links_metric_id", ondelete="CASCADE"),
        Foreign(["project_id"], ["projects.id"], name="fk_metric_links_project_id", ondelete="CASCADE"),
        Primary("metric_id", "project_id", name="pk_metric_links"),
    )  # fmt: skip
    op.create_table(
        "model_versions", need("id"), need("model_id"), need("number", Integer()), at("created_at"),
        at("updated_at"), Column("created_by", ID), words("stage", "None"), words("description"),
        Column("run_id", ID), Column("checkpoint_id", ID), Column("blob_prefix", Text()), tree("files"),
        count("size"), words("source"), tree("tags"), tree("metrics"), words("format", "none"),
        Column("backbone_id", ID), Column("backbone_version", Integer()),
        Foreign(["model_id"], ["models.id"], name="fk_model_versions_model_id", ondelete="CASCADE"),
        Primary("id", name="pk_model_versions"),
        Unique("model_id", "number", name="uq_model_versions_model_id_number"),
    )  # fmt: skip
    index("model_versions", "backbone_id")
    index("model_versions", "run_id")
    op.create_table(
        "queue_entries", need("run_id"), need("queue_id"), count("position"), at("added_at"),
        words("previous_state"),
        Foreign(["queue_id"], ["queues.id"], name="fk_queue_entries_queue_id", ondelete="CASCADE"),
        Foreign(["run_id"], ["runs.id"], name="fk_queue_entries_run_id", ondelete="CASCADE"),
        Primary("run_id", name="pk_queue_entries"),
    )  # fmt: skip
    index("queue_entries", "queue_id", "position")
    op.create_table(
        "run_events", Column("id", ROW, autoincrement=True, nullable=False), need("run_id"),
        need("type", String(20)), need("digest", String(32)), need("metric", String(1000)),
        need("variant", String(1000)), at("iter"), at("ts"), words("key"), words("url"),
        Column("data", LargeBinary()),
        Foreign(["run_id"], ["runs.id"], name="fk_run_events_run_id", ondelete="CASCADE"),
        Primary("id", name="pk_run_events"),
        Unique("run_id", "type", "digest", "iter", name="uq_run_events_run_id_type_digest_iter"),
    )  # fmt: skip
    index("run_events", "run_id", "type", "iter")
    op.create_table(
        "series", Column("id", ROW, autoincrement=True, nullable=False), need("run_id"), need("digest", String(32)),
        need("metric", String(1000)), need("variant", String(1000)), need("listed", Boolean(), "1"),
        Column("x_label", Text()), count("points"), count("finite"), Column("first_iter", BigInteger()),
        Column("first_value", Float()), Column("last_iter", BigInteger()), Column("last_ts", BigInteger()),
        Column("last_value", Float()), Column("min_value", Float()), Column("min_iter", BigInteger()),
        Column("max_value", Float()), Column("max_iter", BigInteger()), need("sum_value", Float(), "0"),
        count("tail_rows"), count("tail_count"), Column("single_ts", BigInteger()), Column("single_value", Float()),
        Foreign(["run_id"], ["runs.id"], name="fk_series_run_id", ondelete="CASCADE"),
        Primary("id", name="pk_series"), Unique("run_id", "digest", name="uq_series_run_id_digest"),
    )  # fmt: skip
    op.create_table(
        "shares", need("project_id"), need("team_id"), words("role"), need("is_owner", Boolean(), "0"),
        Foreign(["project_id"], ["projects.id"], name="fk_shares_project_id", ondelete="CASCADE"),
        Foreign(["team_id"], ["teams.id"], name="fk_shares_team_id", ondelete="CASCADE"),
        Primary("project_id", "team_id", name="pk_shares"),
    )  # fmt: skip
    op.create_table(
        "stages", need("run_id"), need("position", Integer()), words("name"), words("state"), count("done"),
        Column("total", BigInteger()), tree("info"), count("updated_at"),
        Foreign(["run_id"], ["runs.id"], name="fk_stages_run_id", ondelete="CASCADE"),
        Primary("run_id", "position", name="pk_stages"),
    )  # fmt: skip
    op.create_table(
        "team_members", need("team_id"), need("user_id"), words("role"),
        Foreign(["team_id"], ["teams.id"], name="fk_team_members_team_id", ondelete="CASCADE"),
        Foreign(["user_id"], ["users.id"], name="fk_team_members_user_id", ondelete="CASCADE"),
        Primary("team_id", "user_id", name="pk_team_members"),
    )  # fmt: skip
    index("team_members", "user_id")
    op.create_table(
        "reviews", need("id"), need("version_id"), words("target_stage"), words("state"),
        Column("requested_by", ID), at("created_at"), at("updated_at"), words("notes"), tree("reviewers", "[]"),
        tree("responses", "[]"),
        Foreign(["version_id"], ["model_versions.id"], name="fk_reviews_version_id", ondelete="CASCADE"),
        Primary("id", name="pk_reviews"),
    )  # fmt: skip
    index("reviews", "version_id", "id", name="ix_reviews_version_id")
    op.create_table(
        "series_blocks", Column("id", ROW, autoincrement=True, nullable=False), need("series_id", ROW),
        count("points"), count("finite"), Column("first_iter", BigInteger()), Column("first_value", Float()),
        Column("last_iter", BigInteger()), Column("last_ts", BigInteger()), Column("last_value", Float()),
        Column("min_value", Float()), Column("min_iter", BigInteger()), Column("max_value", Float()),
        Column("max_iter", BigInteger()), need("sum_value", Float(), "0"), need("data", LargeBinary()),
        Foreign(["series_id"], ["series.id"], name="fk_series_blocks_series_id", ondelete="CASCADE"),
        Primary("id", name="pk_series_blocks"),
    )  # fmt: skip
    index("series_blocks", "series_id", "first_iter")
    op.create_table(
        "series_tail", Column("id", ROW, autoincrement=True, nullable=False), need("series_id", ROW),
        at("added_at"), at("first_iter"), at("last_iter"), need("data", LargeBinary()),
        Foreign(["series_id"], ["series.id"], name="fk_series_tail_series_id", ondelete="CASCADE"),
        Primary("id", name="pk_series_tail"),
    )  # fmt: skip
    index("series_tail", "series_id", "added_at")


def _search() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("CREATE VIRTUAL TABLE interactions_fts USING fts5(body, content='', tokenize='unicode61')")
        op.execute(
            "CREATE TRIGGER interactions_fts_insert AFTER INSERT ON interactions BEGIN INSERT INTO "
            "interactions_fts(rowid, body) VALUES (new.seq, new.messages || ' ' || new.completion); END"
        )
        op.execute(
            "CREATE TRIGGER interactions_fts_delete AFTER DELETE ON interactions BEGIN INSERT INTO "
            "interactions_fts(interactions_fts, rowid, body) VALUES ('delete', old.seq, old.messages || ' ' "
            "|| old.completion); END"
        )
    else:
        op.execute(
            "ALTER TABLE interactions ADD COLUMN search tsvector GENERATED ALWAYS AS (to_tsvector('simple', "
            "left(messages::text || ' ' || completion, 500000))) STORED"
        )
        op.execute("CREATE INDEX ix_interactions_search ON interactions USING gin (search)")


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TABLE interactions_fts")
    for table in (
        "series_tail", "series_blocks", "reviews", "team_members", "stages", "shares", "series", "run_events",
        "queue_entries", "model_versions", "metric_links", "log_chunks", "leases", "experiments", "evaluations",
        "dataset_snapshots", "dataset_segments", "dataset_grants", "checkpoints", "artifacts", "workers", "teams",
        "runs", "roles", "queues", "projects", "models", "metrics", "members", "graders", "deployments", "datasets",
        "benchmarks", "api_keys", "users", "usage", "uploads", "spaces", "settings", "model_stages", "interactions",
        "interaction_labels", "feedback", "external_refs", "documents", "billing_tags", "audit",
    ):  # fmt: skip
        op.drop_table(table)
