CREATE TABLE api_keys (
    id VARCHAR(24) NOT NULL,
    user_id VARCHAR(24) NOT NULL,
    space_id VARCHAR(24) NOT NULL,
    access_key VARCHAR(40) NOT NULL,
    secret_hash TEXT DEFAULT ''::text NOT NULL,
    prefix TEXT DEFAULT ''::text NOT NULL,
    label TEXT DEFAULT ''::text NOT NULL,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT,
    revoked_at BIGINT,
    CONSTRAINT pk_api_keys PRIMARY KEY (id),
    CONSTRAINT fk_api_keys_space_id FOREIGN KEY(space_id) REFERENCES spaces (id) ON DELETE CASCADE,
    CONSTRAINT fk_api_keys_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT uq_api_keys_access_key UNIQUE (access_key)
);

CREATE TABLE artifacts (
    id VARCHAR(24) NOT NULL,
    run_id VARCHAR(24) NOT NULL,
    key VARCHAR(1000) NOT NULL,
    mode VARCHAR(20) NOT NULL,
    type TEXT DEFAULT ''::text NOT NULL,
    uri TEXT DEFAULT ''::text NOT NULL,
    created_at BIGINT NOT NULL,
    size BIGINT,
    hash TEXT DEFAULT ''::text NOT NULL,
    blob TEXT,
    detail JSON DEFAULT '{}'::json NOT NULL,
    CONSTRAINT pk_artifacts PRIMARY KEY (id),
    CONSTRAINT fk_artifacts_run_id FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE,
    CONSTRAINT uq_artifacts_run_id_mode_key UNIQUE (run_id, mode, key)
);

CREATE TABLE audit (
    id VARCHAR(24) NOT NULL,
    space_id VARCHAR(24) NOT NULL,
    at BIGINT NOT NULL,
    user_id VARCHAR(24),
    action TEXT DEFAULT ''::text NOT NULL,
    kind TEXT DEFAULT ''::text NOT NULL,
    subject_id TEXT DEFAULT ''::text NOT NULL,
    data JSON DEFAULT '{}'::json NOT NULL,
    CONSTRAINT pk_audit PRIMARY KEY (id)
);

CREATE INDEX ix_audit_space_id_id ON audit (space_id, id);

CREATE TABLE benchmarks (
    id VARCHAR(24) NOT NULL,
    space_id VARCHAR(24) NOT NULL,
    key VARCHAR(1000) NOT NULL,
    name VARCHAR(1000) NOT NULL,
    dataset_id VARCHAR(24),
    scoring JSON DEFAULT '[]'::json NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    created_by VARCHAR(24),
    description TEXT DEFAULT ''::text NOT NULL,
    task TEXT DEFAULT ''::text NOT NULL,
    metadata JSON DEFAULT '{}'::json NOT NULL,
    detail JSON DEFAULT '{}'::json NOT NULL,
    CONSTRAINT pk_benchmarks PRIMARY KEY (id),
    CONSTRAINT fk_benchmarks_space_id FOREIGN KEY(space_id) REFERENCES spaces (id),
    CONSTRAINT uq_benchmarks_space_id_key UNIQUE (space_id, key)
);

CREATE TABLE billing_tags (
    space_id VARCHAR(24) NOT NULL,
    tag VARCHAR(200) NOT NULL,
    active BOOLEAN DEFAULT true NOT NULL,
    created_at BIGINT NOT NULL,
    CONSTRAINT pk_billing_tags PRIMARY KEY (space_id, tag)
);

CREATE TABLE checkpoints (
    id VARCHAR(24) NOT NULL,
    run_id VARCHAR(24) NOT NULL,
    name TEXT DEFAULT ''::text NOT NULL,
    step BIGINT DEFAULT '0'::bigint NOT NULL,
    epoch DOUBLE PRECISION NOT NULL,
    path TEXT DEFAULT ''::text NOT NULL,
    created_at BIGINT NOT NULL,
    metrics JSON DEFAULT '{}'::json NOT NULL,
    model_id VARCHAR(24),
    CONSTRAINT pk_checkpoints PRIMARY KEY (id),
    CONSTRAINT fk_checkpoints_run_id FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
);

CREATE INDEX ix_checkpoints_run_id ON checkpoints (run_id, id);

CREATE TABLE dataset_grants (
    dataset_id VARCHAR(24) NOT NULL,
    target_id VARCHAR(24) NOT NULL,
    role TEXT DEFAULT ''::text NOT NULL,
    CONSTRAINT pk_dataset_grants PRIMARY KEY (dataset_id, target_id),
    CONSTRAINT fk_dataset_grants_dataset_id FOREIGN KEY(dataset_id) REFERENCES datasets (id) ON DELETE CASCADE
);

CREATE TABLE dataset_segments (
    dataset_id VARCHAR(24) NOT NULL,
    position INTEGER NOT NULL,
    start BIGINT DEFAULT '0'::bigint NOT NULL,
    rows BIGINT DEFAULT '0'::bigint NOT NULL,
    size BIGINT DEFAULT '0'::bigint NOT NULL,
    blob TEXT DEFAULT ''::text NOT NULL,
    created_at BIGINT NOT NULL,
    CONSTRAINT pk_dataset_segments PRIMARY KEY (dataset_id, position),
    CONSTRAINT fk_dataset_segments_dataset_id FOREIGN KEY(dataset_id) REFERENCES datasets (id) ON DELETE CASCADE
);

CREATE TABLE dataset_snapshots (
    id VARCHAR(24) NOT NULL,
    dataset_id VARCHAR(24) NOT NULL,
    created_at BIGINT NOT NULL,
    created_by VARCHAR(24),
    description TEXT DEFAULT ''::text NOT NULL,
    status TEXT DEFAULT 'active'::text NOT NULL,
    tags JSON DEFAULT '[]'::json NOT NULL,
    records BIGINT DEFAULT '0'::bigint NOT NULL,
    files JSON DEFAULT '[]'::json NOT NULL,
    CONSTRAINT pk_dataset_snapshots PRIMARY KEY (id),
    CONSTRAINT fk_dataset_snapshots_dataset_id FOREIGN KEY(dataset_id) REFERENCES datasets (id) ON DELETE CASCADE
);

CREATE INDEX ix_dataset_snapshots_dataset_id ON dataset_snapshots (dataset_id, id);

CREATE TABLE datasets (
    id VARCHAR(24) NOT NULL,
    space_id VARCHAR(24) NOT NULL,
    project_id VARCHAR(24),
    key VARCHAR(1000) NOT NULL,
    name VARCHAR(1000) NOT NULL,
    kind TEXT DEFAULT ''::text NOT NULL,
    source TEXT DEFAULT ''::text NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    created_by VARCHAR(24),
    records BIGINT DEFAULT '0'::bigint NOT NULL,
    purpose TEXT DEFAULT ''::text NOT NULL,
    description TEXT DEFAULT ''::text NOT NULL,
    origin JSON DEFAULT '{}'::json NOT NULL,
    metadata JSON DEFAULT '{}'::json NOT NULL,
    metrics_usage JSON DEFAULT '{}'::json NOT NULL,
    tags JSON DEFAULT '[]'::json NOT NULL,
    run_id VARCHAR(24),
    CONSTRAINT pk_datasets PRIMARY KEY (id),
    CONSTRAINT fk_datasets_space_id FOREIGN KEY(space_id) REFERENCES spaces (id),
    CONSTRAINT uq_datasets_space_id_project_id_key UNIQUE (space_id, project_id, key)
);

CREATE INDEX ix_datasets_project_id ON datasets (project_id);

CREATE TABLE deployments (
    id VARCHAR(24) NOT NULL,
    space_id VARCHAR(24) NOT NULL,
    project_id VARCHAR(24),
    key VARCHAR(200) NOT NULL,
    name VARCHAR(1000) NOT NULL,
    engine TEXT DEFAULT ''::text NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    created_by VARCHAR(24),
    model_id VARCHAR(24),
    version INTEGER,
    task TEXT DEFAULT 'chat'::text NOT NULL,
    provider TEXT DEFAULT ''::text NOT NULL,
    upstream_model TEXT DEFAULT ''::text NOT NULL,
    config JSON DEFAULT '{}'::json NOT NULL,
    attached BOOLEAN DEFAULT true NOT NULL,
    desired_online BOOLEAN DEFAULT true NOT NULL,
    state TEXT DEFAULT ''::text NOT NULL,
    error TEXT DEFAULT ''::text NOT NULL,
    allowed_users JSON,
    placement JSON DEFAULT '{}'::json NOT NULL,
    detail JSON DEFAULT '{}'::json NOT NULL,
    CONSTRAINT pk_deployments PRIMARY KEY (id),
    CONSTRAINT fk_deployments_space_id FOREIGN KEY(space_id) REFERENCES spaces (id),
    CONSTRAINT uq_deployments_space_id_project_id_key UNIQUE (space_id, project_id, key)
);

CREATE INDEX ix_deployments_model_id ON deployments (model_id);

CREATE INDEX ix_deployments_project_id ON deployments (project_id);

CREATE TABLE documents (
    id VARCHAR(24) NOT NULL,
    space_id VARCHAR(24) NOT NULL,
    project_id VARCHAR(24),
    dialect VARCHAR(20) NOT NULL,
    kind VARCHAR(40) NOT NULL,
    key VARCHAR(1000) NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    created_by VARCHAR(24),
    deleted_at BIGINT,
    data JSON DEFAULT '{}'::json NOT NULL,
    CONSTRAINT pk_documents PRIMARY KEY (id),
    CONSTRAINT uq_documents_space_id_dialect_kind_key UNIQUE (space_id, dialect, kind, key)
);

CREATE INDEX ix_documents_space_id_dialect_kind_id ON documents (space_id, dialect, kind, id);

CREATE TABLE evaluations (
    id VARCHAR(24) NOT NULL,
    space_id VARCHAR(24) NOT NULL,
    benchmark_id VARCHAR(24) NOT NULL,
    number BIGINT DEFAULT '0'::bigint NOT NULL,
    created_at BIGINT NOT NULL,
    created_by VARCHAR(24),
    run_id VARCHAR(24),
    model_id VARCHAR(24),
    model_version INTEGER,
    checkpoint_id VARCHAR(24),
    status TEXT DEFAULT 'pending'::text NOT NULL,
    error TEXT DEFAULT ''::text NOT NULL,
    finished_at BIGINT,
    rows BIGINT DEFAULT '0'::bigint NOT NULL,
    metrics JSON DEFAULT '{}'::json NOT NULL,
    config JSON DEFAULT '{}'::json NOT NULL,
    result JSON DEFAULT '{}'::json NOT NULL,
    result_blob TEXT,
    CONSTRAINT pk_evaluations PRIMARY KEY (id),
    CONSTRAINT fk_evaluations_benchmark_id FOREIGN KEY(benchmark_id) REFERENCES benchmarks (id) ON DELETE CASCADE,
    CONSTRAINT fk_evaluations_space_id FOREIGN KEY(space_id) REFERENCES spaces (id),
    CONSTRAINT uq_evaluations_benchmark_id_number UNIQUE (benchmark_id, number)
);

CREATE INDEX ix_evaluations_run_id ON evaluations (run_id);

CREATE TABLE experiments (
    id VARCHAR(24) NOT NULL,
    space_id VARCHAR(24) NOT NULL,
    project_id VARCHAR(24) NOT NULL,
    key VARCHAR(200) NOT NULL,
    name TEXT DEFAULT ''::text NOT NULL,
    metric_id VARCHAR(24) NOT NULL,
    feedback TEXT DEFAULT ''::text NOT NULL,
    state TEXT DEFAULT ''::text NOT NULL,
    deployments JSON DEFAULT '[]'::json NOT NULL,
    traffic DOUBLE PRECISION NOT NULL,
    auto_deploy BOOLEAN DEFAULT false NOT NULL,
    created_at BIGINT NOT NULL,
    created_by VARCHAR(24),
    ended_at BIGINT,
    winner_id VARCHAR(24),
    p_value DOUBLE PRECISION,
    feedbacks BIGINT DEFAULT '0'::bigint NOT NULL,
    statistics JSON DEFAULT '{}'::json NOT NULL,
    report JSON DEFAULT '{}'::json NOT NULL,
    CONSTRAINT pk_experiments PRIMARY KEY (id),
    CONSTRAINT fk_experiments_project_id FOREIGN KEY(project_id) REFERENCES projects (id),
    CONSTRAINT fk_experiments_space_id FOREIGN KEY(space_id) REFERENCES spaces (id),
    CONSTRAINT uq_experiments_space_id_key UNIQUE (space_id, key)
);

CREATE INDEX ix_experiments_project_id ON experiments (project_id, state);

CREATE TABLE external_refs (
    space_id VARCHAR(24) NOT NULL,
    dialect VARCHAR(20) NOT NULL,
    kind VARCHAR(40) NOT NULL,
    value VARCHAR(1000) NOT NULL,
    target_id VARCHAR(24) NOT NULL,
    CONSTRAINT pk_external_refs PRIMARY KEY (space_id, dialect, kind, value)
);

CREATE INDEX ix_external_refs_target_id ON external_refs (target_id);

CREATE TABLE feedback (
    id VARCHAR(24) NOT NULL,
    space_id VARCHAR(24) NOT NULL,
    project_id VARCHAR(24),
    metric_id VARCHAR(24) NOT NULL,
    kind TEXT DEFAULT ''::text NOT NULL,
    created_at BIGINT NOT NULL,
    value DOUBLE PRECISION,
    interaction_id VARCHAR(24),
    other_id VARCHAR(24),
    session_id VARCHAR(24),
    tied VARCHAR(10),
    user_id VARCHAR(24),
    end_user TEXT,
    reason TEXT,
    details TEXT,
    experiment_id VARCHAR(24),
    model_id VARCHAR(24),
    other_model_id VARCHAR(24),
    CONSTRAINT pk_feedback PRIMARY KEY (id)
);

CREATE INDEX ix_feedback_interaction_id ON feedback (interaction_id);

CREATE INDEX ix_feedback_other_id ON feedback (other_id);

CREATE INDEX ix_feedback_project_id_metric_id_id ON feedback (project_id, metric_id, id);

CREATE TABLE graders (
    id VARCHAR(24) NOT NULL,
    space_id VARCHAR(24) NOT NULL,
    project_id VARCHAR(24),
    key VARCHAR(200) NOT NULL,
    name VARCHAR(1000) NOT NULL,
    type TEXT DEFAULT ''::text NOT NULL,
    metric_id VARCHAR(24),
    config JSON DEFAULT '{}'::json NOT NULL,
    locked BOOLEAN DEFAULT false NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    created_by VARCHAR(24),
    CONSTRAINT pk_graders PRIMARY KEY (id),
    CONSTRAINT fk_graders_space_id FOREIGN KEY(space_id) REFERENCES spaces (id),
    CONSTRAINT uq_graders_space_id_project_id_key UNIQUE (space_id, project_id, key)
);

CREATE TABLE interaction_labels (
    interaction_id VARCHAR(24) NOT NULL,
    key VARCHAR(200) NOT NULL,
    space_id VARCHAR(24) NOT NULL,
    project_id VARCHAR(24),
    value VARCHAR(1000) NOT NULL,
    CONSTRAINT pk_interaction_labels PRIMARY KEY (interaction_id, key)
);

CREATE INDEX ix_interaction_labels_project_id_key_value ON interaction_labels (project_id, key, value, interaction_id);

CREATE TABLE interactions (
    seq BIGSERIAL NOT NULL,
    id VARCHAR(24) NOT NULL,
    space_id VARCHAR(24) NOT NULL,
    project_id VARCHAR(24),
    created_at BIGINT NOT NULL,
    messages JSON DEFAULT '[]'::json NOT NULL,
    completion TEXT DEFAULT ''::text NOT NULL,
    source TEXT DEFAULT 'live'::text NOT NULL,
    type TEXT DEFAULT 'chat'::text NOT NULL,
    dialect TEXT DEFAULT ''::text NOT NULL,
    user_id VARCHAR(24),
    end_user TEXT,
    model_id VARCHAR(24),
    deployment_id VARCHAR(24),
    model_name TEXT DEFAULT ''::text NOT NULL,
    experiment_id VARCHAR(24),
    session_id VARCHAR(24),
    prompt_hash TEXT DEFAULT ''::text NOT NULL,
    status TEXT DEFAULT 'success'::text NOT NULL,
    error TEXT DEFAULT ''::text NOT NULL,
    finish_reason TEXT,
    prompt_tokens BIGINT DEFAULT '0'::bigint NOT NULL,
    completion_tokens BIGINT DEFAULT '0'::bigint NOT NULL,
    latency_us BIGINT DEFAULT '0'::bigint NOT NULL,
    ttft_us BIGINT,
    billing_tag TEXT,
    correlation_id TEXT,
    labels JSON DEFAULT '{}'::json NOT NULL,
    parameters JSON DEFAULT '{}'::json NOT NULL,
    metadata JSON DEFAULT '{}'::json NOT NULL,
    search TSVECTOR GENERATED ALWAYS AS (to_tsvector('simple'::regconfig, "left"((((messages)::text || ' '::text) || completion), 500000))) STORED,
    CONSTRAINT pk_interactions PRIMARY KEY (seq),
    CONSTRAINT uq_interactions_id UNIQUE (id)
);

CREATE INDEX ix_interactions_project_id_id ON interactions (project_id, id);

CREATE INDEX ix_interactions_project_id_model_id_id ON interactions (project_id, model_id, id);

CREATE INDEX ix_interactions_project_id_prompt_hash_id ON interactions (project_id, prompt_hash, id);

CREATE INDEX ix_interactions_search ON interactions USING gin (search);

CREATE INDEX ix_interactions_session_id_id ON interactions (session_id, id);

CREATE INDEX ix_interactions_space_id_id ON interactions (space_id, id);

CREATE INDEX ix_interactions_space_id_model_name_id ON interactions (space_id, model_name, id);

CREATE TABLE leases (
    run_id VARCHAR(24) NOT NULL,
    token TEXT DEFAULT ''::text NOT NULL,
    worker TEXT DEFAULT ''::text NOT NULL,
    attempt BIGINT DEFAULT '0'::bigint NOT NULL,
    leased_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    lines BIGINT DEFAULT '0'::bigint NOT NULL,
    CONSTRAINT pk_leases PRIMARY KEY (run_id),
    CONSTRAINT fk_leases_run_id FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
);

CREATE INDEX ix_leases_expires_at ON leases (expires_at);

CREATE TABLE log_chunks (
    id BIGSERIAL NOT NULL,
    run_id VARCHAR(24) NOT NULL,
    first_ts BIGINT NOT NULL,
    last_ts BIGINT NOT NULL,
    lines INTEGER NOT NULL,
    data BYTEA NOT NULL,
    CONSTRAINT pk_log_chunks PRIMARY KEY (id),
    CONSTRAINT fk_log_chunks_run_id FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
);

CREATE INDEX ix_log_chunks_run_id_first_ts ON log_chunks (run_id, first_ts, id);

CREATE INDEX ix_log_chunks_run_id_last_ts ON log_chunks (run_id, last_ts, id, lines);

CREATE TABLE members (
    space_id VARCHAR(24) NOT NULL,
    user_id VARCHAR(24) NOT NULL,
    role TEXT DEFAULT 'member'::text NOT NULL,
    created_at BIGINT NOT NULL,
    permissions JSON DEFAULT '[]'::json NOT NULL,
    CONSTRAINT pk_members PRIMARY KEY (space_id, user_id),
    CONSTRAINT fk_members_space_id FOREIGN KEY(space_id) REFERENCES spaces (id) ON DELETE CASCADE,
    CONSTRAINT fk_members_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);

CREATE INDEX ix_members_user_id ON members (user_id);

CREATE TABLE metric_links (
    metric_id VARCHAR(24) NOT NULL,
    project_id VARCHAR(24) NOT NULL,
    created_at BIGINT NOT NULL,
    CONSTRAINT pk_metric_links PRIMARY KEY (metric_id, project_id),
    CONSTRAINT fk_metric_links_metric_id FOREIGN KEY(metric_id) REFERENCES metrics (id) ON DELETE CASCADE,
    CONSTRAINT fk_metric_links_project_id FOREIGN KEY(project_id) REFERENCES projects (id) ON DELETE CASCADE
);

CREATE TABLE metrics (
    id VARCHAR(24) NOT NULL,
    space_id VARCHAR(24) NOT NULL,
    key VARCHAR(200) NOT NULL,
    name VARCHAR(1000) NOT NULL,
    kind TEXT DEFAULT ''::text NOT NULL,
    direction TEXT DEFAULT ''::text NOT NULL,
    created_at BIGINT NOT NULL,
    description TEXT DEFAULT ''::text NOT NULL,
    lower DOUBLE PRECISION,
    upper DOUBLE PRECISION,
    CONSTRAINT pk_metrics PRIMARY KEY (id),
    CONSTRAINT fk_metrics_space_id FOREIGN KEY(space_id) REFERENCES spaces (id),
    CONSTRAINT uq_metrics_space_id_key UNIQUE (space_id, key)
);

CREATE TABLE model_stages (
    project_id VARCHAR(24) NOT NULL,
    labels JSON DEFAULT '[]'::json NOT NULL,
    CONSTRAINT pk_model_stages PRIMARY KEY (project_id)
);

CREATE TABLE model_versions (
    id VARCHAR(24) NOT NULL,
    model_id VARCHAR(24) NOT NULL,
    number INTEGER NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    created_by VARCHAR(24),
    stage TEXT DEFAULT 'None'::text NOT NULL,
    description TEXT DEFAULT ''::text NOT NULL,
    run_id VARCHAR(24),
    checkpoint_id VARCHAR(24),
    blob_prefix TEXT,
    files JSON DEFAULT '{}'::json NOT NULL,
    size BIGINT DEFAULT '0'::bigint NOT NULL,
    source TEXT DEFAULT ''::text NOT NULL,
    tags JSON DEFAULT '{}'::json NOT NULL,
    metrics JSON DEFAULT '{}'::json NOT NULL,
    format TEXT DEFAULT 'none'::text NOT NULL,
    backbone_id VARCHAR(24),
    backbone_version INTEGER,
    CONSTRAINT pk_model_versions PRIMARY KEY (id),
    CONSTRAINT fk_model_versions_model_id FOREIGN KEY(model_id) REFERENCES models (id) ON DELETE CASCADE,
    CONSTRAINT uq_model_versions_model_id_number UNIQUE (model_id, number)
);

CREATE INDEX ix_model_versions_backbone_id ON model_versions (backbone_id);

CREATE INDEX ix_model_versions_run_id ON model_versions (run_id);

CREATE TABLE models (
    id VARCHAR(24) NOT NULL,
    space_id VARCHAR(24) NOT NULL,
    project_id VARCHAR(24),
    name VARCHAR(1000) NOT NULL,
    key VARCHAR(200) NOT NULL,
    kind TEXT DEFAULT ''::text NOT NULL,
    format TEXT DEFAULT ''::text NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    created_by VARCHAR(24),
    description TEXT DEFAULT ''::text NOT NULL,
    uri TEXT DEFAULT ''::text NOT NULL,
    framework TEXT DEFAULT ''::text NOT NULL,
    run_id VARCHAR(24),
    parent_id VARCHAR(24),
    backbone_id VARCHAR(24),
    latest_version BIGINT DEFAULT '0'::bigint NOT NULL,
    ready BOOLEAN DEFAULT false NOT NULL,
    discoverable BOOLEAN DEFAULT true NOT NULL,
    archived BOOLEAN DEFAULT false NOT NULL,
    tags JSON DEFAULT '[]'::json NOT NULL,
    system_tags JSON DEFAULT '[]'::json NOT NULL,
    labels JSON DEFAULT '{}'::json NOT NULL,
    metadata JSON DEFAULT '{}'::json NOT NULL,
    detail JSON DEFAULT '{}'::json NOT NULL,
    CONSTRAINT pk_models PRIMARY KEY (id),
    CONSTRAINT fk_models_space_id FOREIGN KEY(space_id) REFERENCES spaces (id),
    CONSTRAINT uq_models_space_id_key UNIQUE (space_id, key)
);

CREATE INDEX ix_models_project_id ON models (project_id);

CREATE INDEX ix_models_run_id ON models (run_id);

CREATE INDEX ix_models_space_id_id ON models (space_id, id);

CREATE TABLE projects (
    id VARCHAR(24) NOT NULL,
    space_id VARCHAR(24) NOT NULL,
    name VARCHAR(1000) NOT NULL,
    key VARCHAR(200) NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    created_by VARCHAR(24),
    description TEXT DEFAULT ''::text NOT NULL,
    parent_id VARCHAR(24),
    tags JSON DEFAULT '[]'::json NOT NULL,
    system_tags JSON DEFAULT '[]'::json NOT NULL,
    settings JSON DEFAULT '{}'::json NOT NULL,
    billing_tag TEXT,
    visibility TEXT DEFAULT 'private'::text NOT NULL,
    archived BOOLEAN DEFAULT false NOT NULL,
    default_deployment_id VARCHAR(24),
    detail JSON DEFAULT '{}'::json NOT NULL,
    CONSTRAINT pk_projects PRIMARY KEY (id),
    CONSTRAINT fk_projects_space_id FOREIGN KEY(space_id) REFERENCES spaces (id),
    CONSTRAINT uq_projects_space_id_key UNIQUE (space_id, key),
    CONSTRAINT uq_projects_space_id_name UNIQUE (space_id, name)
);

CREATE INDEX ix_projects_parent_id ON projects (parent_id);

CREATE TABLE queue_entries (
    run_id VARCHAR(24) NOT NULL,
    queue_id VARCHAR(24) NOT NULL,
    position BIGINT DEFAULT '0'::bigint NOT NULL,
    added_at BIGINT NOT NULL,
    previous_state TEXT DEFAULT ''::text NOT NULL,
    CONSTRAINT pk_queue_entries PRIMARY KEY (run_id),
    CONSTRAINT fk_queue_entries_queue_id FOREIGN KEY(queue_id) REFERENCES queues (id) ON DELETE CASCADE,
    CONSTRAINT fk_queue_entries_run_id FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
);

CREATE INDEX ix_queue_entries_queue_id_position ON queue_entries (queue_id, position);

CREATE TABLE queues (
    id VARCHAR(24) NOT NULL,
    space_id VARCHAR(24) NOT NULL,
    name VARCHAR(1000) NOT NULL,
    created_at BIGINT NOT NULL,
    tags JSON DEFAULT '[]'::json NOT NULL,
    system_tags JSON DEFAULT '[]'::json NOT NULL,
    metadata JSON DEFAULT '{}'::json NOT NULL,
    CONSTRAINT pk_queues PRIMARY KEY (id),
    CONSTRAINT fk_queues_space_id FOREIGN KEY(space_id) REFERENCES spaces (id),
    CONSTRAINT uq_queues_space_id_name UNIQUE (space_id, name)
);

CREATE TABLE reviews (
    id VARCHAR(24) NOT NULL,
    version_id VARCHAR(24) NOT NULL,
    target_stage TEXT DEFAULT ''::text NOT NULL,
    state TEXT DEFAULT ''::text NOT NULL,
    requested_by VARCHAR(24),
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    notes TEXT DEFAULT ''::text NOT NULL,
    reviewers JSON DEFAULT '[]'::json NOT NULL,
    responses JSON DEFAULT '[]'::json NOT NULL,
    CONSTRAINT pk_reviews PRIMARY KEY (id),
    CONSTRAINT fk_reviews_version_id FOREIGN KEY(version_id) REFERENCES model_versions (id) ON DELETE CASCADE
);

CREATE INDEX ix_reviews_version_id ON reviews (version_id, id);

CREATE TABLE roles (
    id VARCHAR(24) NOT NULL,
    space_id VARCHAR(24) NOT NULL,
    key TEXT DEFAULT ''::text NOT NULL,
    name TEXT DEFAULT ''::text NOT NULL,
    permissions JSON DEFAULT '[]'::json NOT NULL,
    created_at BIGINT NOT NULL,
    CONSTRAINT pk_roles PRIMARY KEY (id),
    CONSTRAINT fk_roles_space_id FOREIGN KEY(space_id) REFERENCES spaces (id) ON DELETE CASCADE,
    CONSTRAINT uq_roles_space_id_key UNIQUE (space_id, key)
);

CREATE TABLE run_events (
    id BIGSERIAL NOT NULL,
    run_id VARCHAR(24) NOT NULL,
    type VARCHAR(20) NOT NULL,
    digest VARCHAR(32) NOT NULL,
    metric VARCHAR(1000) NOT NULL,
    variant VARCHAR(1000) NOT NULL,
    iter BIGINT NOT NULL,
    ts BIGINT NOT NULL,
    key TEXT DEFAULT ''::text NOT NULL,
    url TEXT DEFAULT ''::text NOT NULL,
    data BYTEA,
    CONSTRAINT pk_run_events PRIMARY KEY (id),
    CONSTRAINT fk_run_events_run_id FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE,
    CONSTRAINT uq_run_events_run_id_type_digest_iter UNIQUE (run_id, type, digest, iter)
);

CREATE INDEX ix_run_events_run_id_type_iter ON run_events (run_id, type, iter);

CREATE TABLE runs (
    id VARCHAR(24) NOT NULL,
    space_id VARCHAR(24) NOT NULL,
    project_id VARCHAR(24),
    name VARCHAR(1000) NOT NULL,
    kind TEXT DEFAULT ''::text NOT NULL,
    type TEXT DEFAULT ''::text NOT NULL,
    state TEXT DEFAULT ''::text NOT NULL,
    created_by VARCHAR(24),
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    status_reason TEXT DEFAULT ''::text NOT NULL,
    status_message TEXT DEFAULT ''::text NOT NULL,
    status_changed_at BIGINT DEFAULT '0'::bigint NOT NULL,
    started_at BIGINT,
    ended_at BIGINT,
    published_at BIGINT,
    comment TEXT DEFAULT ''::text NOT NULL,
    parent_id VARCHAR(24),
    queue_id VARCHAR(24),
    recipe TEXT,
    args JSON DEFAULT '{}'::json NOT NULL,
    params JSON DEFAULT '{}'::json NOT NULL,
    configuration JSON DEFAULT '{}'::json NOT NULL,
    script JSON DEFAULT '{}'::json NOT NULL,
    container JSON DEFAULT '{}'::json NOT NULL,
    runtime JSON DEFAULT '{}'::json NOT NULL,
    detail JSON DEFAULT '{}'::json NOT NULL,
    result JSON DEFAULT '{}'::json NOT NULL,
    tags JSON DEFAULT '[]'::json NOT NULL,
    system_tags JSON DEFAULT '[]'::json NOT NULL,
    last_iteration BIGINT DEFAULT '0'::bigint NOT NULL,
    progress DOUBLE PRECISION,
    error TEXT,
    attempt BIGINT DEFAULT '0'::bigint NOT NULL,
    max_attempts BIGINT DEFAULT '3'::bigint NOT NULL,
    stop_requested BOOLEAN DEFAULT false NOT NULL,
    last_worker TEXT,
    last_worker_at BIGINT,
    CONSTRAINT pk_runs PRIMARY KEY (id),
    CONSTRAINT fk_runs_space_id FOREIGN KEY(space_id) REFERENCES spaces (id)
);

CREATE INDEX ix_runs_parent_id ON runs (parent_id);

CREATE INDEX ix_runs_project_id ON runs (project_id);

CREATE INDEX ix_runs_space_id_updated_at ON runs (space_id, updated_at, id);

CREATE INDEX ix_runs_state ON runs (state, updated_at);

CREATE TABLE series (
    id BIGSERIAL NOT NULL,
    run_id VARCHAR(24) NOT NULL,
    digest VARCHAR(32) NOT NULL,
    metric VARCHAR(1000) NOT NULL,
    variant VARCHAR(1000) NOT NULL,
    listed BOOLEAN DEFAULT true NOT NULL,
    x_label TEXT,
    points BIGINT DEFAULT '0'::bigint NOT NULL,
    finite BIGINT DEFAULT '0'::bigint NOT NULL,
    first_iter BIGINT,
    first_value DOUBLE PRECISION,
    last_iter BIGINT,
    last_ts BIGINT,
    last_value DOUBLE PRECISION,
    min_value DOUBLE PRECISION,
    min_iter BIGINT,
    max_value DOUBLE PRECISION,
    max_iter BIGINT,
    sum_value DOUBLE PRECISION DEFAULT '0'::double precision NOT NULL,
    tail_rows BIGINT DEFAULT '0'::bigint NOT NULL,
    tail_count BIGINT DEFAULT '0'::bigint NOT NULL,
    single_ts BIGINT,
    single_value DOUBLE PRECISION,
    CONSTRAINT pk_series PRIMARY KEY (id),
    CONSTRAINT fk_series_run_id FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE,
    CONSTRAINT uq_series_run_id_digest UNIQUE (run_id, digest)
);

CREATE TABLE series_blocks (
    id BIGSERIAL NOT NULL,
    series_id BIGINT NOT NULL,
    points BIGINT DEFAULT '0'::bigint NOT NULL,
    finite BIGINT DEFAULT '0'::bigint NOT NULL,
    first_iter BIGINT,
    first_value DOUBLE PRECISION,
    last_iter BIGINT,
    last_ts BIGINT,
    last_value DOUBLE PRECISION,
    min_value DOUBLE PRECISION,
    min_iter BIGINT,
    max_value DOUBLE PRECISION,
    max_iter BIGINT,
    sum_value DOUBLE PRECISION DEFAULT '0'::double precision NOT NULL,
    data BYTEA NOT NULL,
    CONSTRAINT pk_series_blocks PRIMARY KEY (id),
    CONSTRAINT fk_series_blocks_series_id FOREIGN KEY(series_id) REFERENCES series (id) ON DELETE CASCADE
);

CREATE INDEX ix_series_blocks_series_id_first_iter ON series_blocks (series_id, first_iter);

CREATE TABLE series_tail (
    id BIGSERIAL NOT NULL,
    series_id BIGINT NOT NULL,
    added_at BIGINT NOT NULL,
    first_iter BIGINT NOT NULL,
    last_iter BIGINT NOT NULL,
    data BYTEA NOT NULL,
    CONSTRAINT pk_series_tail PRIMARY KEY (id),
    CONSTRAINT fk_series_tail_series_id FOREIGN KEY(series_id) REFERENCES series (id) ON DELETE CASCADE
);

CREATE INDEX ix_series_tail_series_id_added_at ON series_tail (series_id, added_at);

CREATE TABLE settings (
    space_id VARCHAR(24) NOT NULL,
    name VARCHAR(200) NOT NULL,
    value JSON DEFAULT 'null'::json NOT NULL,
    updated_at BIGINT DEFAULT '0'::bigint NOT NULL,
    CONSTRAINT pk_settings PRIMARY KEY (space_id, name)
);

CREATE TABLE shares (
    project_id VARCHAR(24) NOT NULL,
    team_id VARCHAR(24) NOT NULL,
    role TEXT DEFAULT ''::text NOT NULL,
    is_owner BOOLEAN DEFAULT false NOT NULL,
    CONSTRAINT pk_shares PRIMARY KEY (project_id, team_id),
    CONSTRAINT fk_shares_project_id FOREIGN KEY(project_id) REFERENCES projects (id) ON DELETE CASCADE,
    CONSTRAINT fk_shares_team_id FOREIGN KEY(team_id) REFERENCES teams (id) ON DELETE CASCADE
);

CREATE TABLE spaces (
    id VARCHAR(24) NOT NULL,
    name TEXT DEFAULT ''::text NOT NULL,
    description TEXT DEFAULT ''::text NOT NULL,
    created_at BIGINT NOT NULL,
    created_by VARCHAR(24),
    updated_at BIGINT DEFAULT '0'::bigint NOT NULL,
    deleted_at BIGINT,
    CONSTRAINT pk_spaces PRIMARY KEY (id)
);

CREATE TABLE stages (
    run_id VARCHAR(24) NOT NULL,
    position INTEGER NOT NULL,
    name TEXT DEFAULT ''::text NOT NULL,
    state TEXT DEFAULT ''::text NOT NULL,
    done BIGINT DEFAULT '0'::bigint NOT NULL,
    total BIGINT,
    info JSON DEFAULT '{}'::json NOT NULL,
    updated_at BIGINT DEFAULT '0'::bigint NOT NULL,
    CONSTRAINT pk_stages PRIMARY KEY (run_id, position),
    CONSTRAINT fk_stages_run_id FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
);

CREATE TABLE team_members (
    team_id VARCHAR(24) NOT NULL,
    user_id VARCHAR(24) NOT NULL,
    role TEXT DEFAULT ''::text NOT NULL,
    CONSTRAINT pk_team_members PRIMARY KEY (team_id, user_id),
    CONSTRAINT fk_team_members_team_id FOREIGN KEY(team_id) REFERENCES teams (id) ON DELETE CASCADE,
    CONSTRAINT fk_team_members_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);

CREATE INDEX ix_team_members_user_id ON team_members (user_id);

CREATE TABLE teams (
    id VARCHAR(24) NOT NULL,
    space_id VARCHAR(24) NOT NULL,
    key TEXT DEFAULT ''::text NOT NULL,
    name TEXT DEFAULT ''::text NOT NULL,
    created_at BIGINT NOT NULL,
    CONSTRAINT pk_teams PRIMARY KEY (id),
    CONSTRAINT fk_teams_space_id FOREIGN KEY(space_id) REFERENCES spaces (id) ON DELETE CASCADE,
    CONSTRAINT uq_teams_space_id_key UNIQUE (space_id, key)
);

CREATE TABLE uploads (
    id VARCHAR(24) NOT NULL,
    space_id VARCHAR(24) NOT NULL,
    created_by VARCHAR(24),
    created_at BIGINT NOT NULL,
    content_type TEXT DEFAULT ''::text NOT NULL,
    parts INTEGER NOT NULL,
    done JSON DEFAULT '[]'::json NOT NULL,
    detail JSON DEFAULT '{}'::json NOT NULL,
    CONSTRAINT pk_uploads PRIMARY KEY (id)
);

CREATE TABLE usage (
    space_id VARCHAR(24) NOT NULL,
    hour BIGINT NOT NULL,
    project_id VARCHAR(24) NOT NULL,
    deployment_id VARCHAR(24) NOT NULL,
    model_name VARCHAR(300) NOT NULL,
    billing_tag VARCHAR(200) NOT NULL,
    type VARCHAR(40) NOT NULL,
    user_id VARCHAR(24) NOT NULL,
    calls BIGINT DEFAULT '0'::bigint NOT NULL,
    errors BIGINT DEFAULT '0'::bigint NOT NULL,
    prompt_tokens BIGINT DEFAULT '0'::bigint NOT NULL,
    completion_tokens BIGINT DEFAULT '0'::bigint NOT NULL,
    latency_us BIGINT DEFAULT '0'::bigint NOT NULL,
    CONSTRAINT pk_usage PRIMARY KEY (space_id, hour, project_id, deployment_id, model_name, billing_tag, type, user_id)
);

CREATE TABLE users (
    id VARCHAR(24) NOT NULL,
    email TEXT NOT NULL,
    name TEXT DEFAULT ''::text NOT NULL,
    created_at BIGINT NOT NULL,
    disabled BOOLEAN DEFAULT false NOT NULL,
    settings JSON DEFAULT '{}'::json NOT NULL,
    CONSTRAINT pk_users PRIMARY KEY (id),
    CONSTRAINT uq_users_email UNIQUE (email)
);

CREATE TABLE workers (
    id VARCHAR(24) NOT NULL,
    space_id VARCHAR(24) NOT NULL,
    name VARCHAR(1000) NOT NULL,
    user_id VARCHAR(24),
    registered_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    queues JSON DEFAULT '[]'::json NOT NULL,
    run_id VARCHAR(24),
    ip TEXT DEFAULT ''::text NOT NULL,
    tags JSON DEFAULT '[]'::json NOT NULL,
    stats JSON DEFAULT '{}'::json NOT NULL,
    CONSTRAINT pk_workers PRIMARY KEY (id),
    CONSTRAINT fk_workers_space_id FOREIGN KEY(space_id) REFERENCES spaces (id),
    CONSTRAINT uq_workers_space_id_name UNIQUE (space_id, name)
);
