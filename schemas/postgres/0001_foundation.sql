-- The control plane's truth. Forward-only: a released file is never edited, its digest is recorded and checked.
-- `version` on a row is the configuration's version that last changed it: it is the row's ETag.
-- `sequence` orders pages and breaks ties; it never leaves the row.

-- One row: the version that every change bumps, gapless from 1, and the lineage it counts in.
CREATE TABLE configuration (
    is_only    boolean     PRIMARY KEY DEFAULT true CHECK (is_only),
    version    bigint      NOT NULL CHECK (version >= 1),
    lineage    bytea       NOT NULL CHECK (length(lineage) = 16),
    changed_at timestamptz NOT NULL
);
INSERT INTO configuration (version, lineage, changed_at)
VALUES (1, decode(replace(gen_random_uuid()::text, '-', ''), 'hex'), date_trunc('milliseconds', now()));

CREATE TABLE organisations (
    id         text        PRIMARY KEY,
    name       text        NOT NULL UNIQUE,
    created_at timestamptz NOT NULL
);
INSERT INTO organisations (id, name, created_at) VALUES ('org_default', 'default', date_trunc('milliseconds', now()));

CREATE TABLE apps (
    id              text        PRIMARY KEY,
    sequence        bigint      NOT NULL UNIQUE GENERATED ALWAYS AS IDENTITY,
    organisation_id text        NOT NULL REFERENCES organisations (id),
    name            text        NOT NULL,
    tier            text        NOT NULL,
    tags            text[]      NOT NULL,
    enabled         boolean     NOT NULL,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    version         bigint      NOT NULL,
    CONSTRAINT apps_name_key UNIQUE (organisation_id, name)
);

-- A key is never deleted while its app exists: a revoked one must stay known as revoked.
CREATE TABLE keys (
    id         text        PRIMARY KEY CHECK (id ~ '^[0-9a-z]{16}$'),
    sequence   bigint      NOT NULL UNIQUE GENERATED ALWAYS AS IDENTITY,
    app_id     text        NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    name       text        NOT NULL,
    digest     bytea       NOT NULL CHECK (length(digest) = 32),
    tags       text[]      NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    version    bigint      NOT NULL
);
CREATE INDEX keys_app ON keys (app_id, sequence);

CREATE TABLE policies (
    id         text        PRIMARY KEY,
    sequence   bigint      NOT NULL UNIQUE GENERATED ALWAYS AS IDENTITY,
    name       text        NOT NULL CONSTRAINT policies_name_key UNIQUE,
    kind       text        NOT NULL,
    config     json        NOT NULL,
    scope_app  text        REFERENCES apps (id) ON DELETE CASCADE,
    scope_key  text        REFERENCES keys (id) ON DELETE CASCADE,
    mode       text        NOT NULL CHECK (mode IN ('enforce', 'shadow')),
    on_error   text        NOT NULL CHECK (on_error IN ('deny', 'allow')),
    priority   integer,
    enabled    boolean     NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    version    bigint      NOT NULL,
    CHECK (scope_app IS NULL OR scope_key IS NULL)
);
CREATE INDEX policies_scope_app ON policies (scope_app) WHERE scope_app IS NOT NULL;
CREATE INDEX policies_scope_key ON policies (scope_key) WHERE scope_key IS NOT NULL;

-- `sealed` is under the deployment's key, `fleet_sealed` under the fleet's; both are bound to the row's id.
CREATE TABLE providers (
    id                   text        PRIMARY KEY,
    sequence             bigint      NOT NULL UNIQUE GENERATED ALWAYS AS IDENTITY,
    name                 text        NOT NULL CONSTRAINT providers_name_key UNIQUE,
    kind                 text        NOT NULL CHECK (kind IN ('openai', 'anthropic', 'openai_compatible')),
    base_url             text        NOT NULL,
    sealed               bytea,
    fleet_sealed         bytea,
    fleet_key_id         text,
    injects_stream_usage boolean     NOT NULL,
    created_at           timestamptz NOT NULL,
    updated_at           timestamptz NOT NULL,
    version              bigint      NOT NULL
);

CREATE TABLE models (
    id         text        PRIMARY KEY,
    sequence   bigint      NOT NULL UNIQUE GENERATED ALWAYS AS IDENTITY,
    name       text        NOT NULL CONSTRAINT models_name_key UNIQUE,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    version    bigint      NOT NULL
);

CREATE TABLE routes (
    model_id       text    NOT NULL REFERENCES models (id) ON DELETE CASCADE,
    position       integer NOT NULL,
    provider_id    text    NOT NULL CONSTRAINT routes_provider_fkey REFERENCES providers (id),
    upstream_model text    NOT NULL,
    weight         integer NOT NULL CHECK (weight >= 0),
    PRIMARY KEY (model_id, position)
);
CREATE INDEX routes_provider ON routes (provider_id);

-- Every change, in the transaction that made it. Never holds a secret.
CREATE TABLE audit_log (
    sequence      bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    at            timestamptz NOT NULL,
    version       bigint      NOT NULL UNIQUE,
    actor         text        NOT NULL,
    request_id    text        NOT NULL,
    action        text        NOT NULL,
    resource_kind text        NOT NULL,
    resource_id   text        NOT NULL,
    before        json,
    after         json
);

-- What is not yet published. NOTIFY only wakes the publisher; the row is what counts.
CREATE TABLE outbox (
    version       bigint      PRIMARY KEY,
    resource_kind text        NOT NULL,
    resource_id   text        NOT NULL,
    created_at    timestamptz NOT NULL
);
INSERT INTO outbox (version, resource_kind, resource_id, created_at) VALUES (1, 'configuration', 'initial', now());

-- Answers to creates that came with an Idempotency-Key. `answer` is sealed: the answer to a key's creation holds it.
CREATE TABLE idempotency_keys (
    key        text        PRIMARY KEY,
    request    bytea       NOT NULL,
    answer     bytea,
    created_at timestamptz NOT NULL
);
CREATE INDEX idempotency_keys_created ON idempotency_keys (created_at);

CREATE TABLE nodes (
    id              text        PRIMARY KEY,
    boot_id         text        NOT NULL,
    url             text        NOT NULL,
    lineage         text        NOT NULL,
    version         bigint      NOT NULL,
    status          text        NOT NULL CHECK (status IN ('ack', 'nack')),
    reason          text,
    snapshot_source text        NOT NULL,
    started_at      timestamptz NOT NULL,
    seen_at         timestamptz NOT NULL
);

-- Node and boot are long; each usage row names them by one number.
CREATE TABLE usage_boots (
    boot    integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    node_id text    NOT NULL,
    boot_id text    NOT NULL,
    UNIQUE (node_id, boot_id)
);

-- One row per request. Identity is (node, boot, sequence): a batch sent twice changes nothing.
CREATE TABLE usage (
    boot                    integer     NOT NULL REFERENCES usage_boots (boot),
    sequence                bigint      NOT NULL,
    request_id              text        NOT NULL,
    started_at              timestamptz NOT NULL,
    finished_at             timestamptz NOT NULL,
    organisation_id         text        NOT NULL,
    app_id                  text        NOT NULL,
    key_id                  text        NOT NULL,
    model                   text        NOT NULL,
    provider_id             text        NOT NULL,
    upstream_model          text        NOT NULL,
    endpoint                smallint    NOT NULL,
    status                  integer     NOT NULL,
    outcome                 smallint    NOT NULL,
    source                  smallint    NOT NULL,
    is_stream               boolean     NOT NULL,
    prompt_tokens           bigint      NOT NULL,
    completion_tokens       bigint      NOT NULL,
    total_tokens            bigint      NOT NULL,
    cached_tokens           bigint      NOT NULL,
    cache_write_tokens      bigint      NOT NULL,
    reasoning_tokens        bigint      NOT NULL,
    request_bytes           bigint      NOT NULL,
    response_bytes          bigint      NOT NULL,
    latency_microseconds    bigint      NOT NULL,
    first_byte_microseconds bigint      NOT NULL,
    refused_by              text,
    reason                  text,
    snapshot_version        bigint      NOT NULL,
    PRIMARY KEY (boot, sequence)
);
CREATE INDEX usage_request ON usage (request_id);
CREATE INDEX usage_started ON usage (started_at);

-- The sums that GET /v1/usage reads, moved by the merge that adds the rows.
CREATE TABLE usage_hourly (
    hour               timestamptz NOT NULL,
    app_id             text        NOT NULL,
    key_id             text        NOT NULL,
    model              text        NOT NULL,
    requests           bigint      NOT NULL,
    refused            bigint      NOT NULL,
    prompt_tokens      bigint      NOT NULL,
    completion_tokens  bigint      NOT NULL,
    total_tokens       bigint      NOT NULL,
    cached_tokens      bigint      NOT NULL,
    cache_write_tokens bigint      NOT NULL,
    reasoning_tokens   bigint      NOT NULL,
    PRIMARY KEY (hour, app_id, key_id, model)
);
