-- How changes reach nodes when there are several control planes, a canary, a restored backup or a node id used twice.

-- Who publishes. A lease rather than an advisory lock: the session of a stopped process keeps its locks for as long as
-- it is stopped. `fence` rises with each new holder and is in milliseconds since 1970 at least, so that it also rises
-- past what Redis has seen when this database is restored from a backup.
CREATE TABLE publisher (
    is_only    boolean     PRIMARY KEY DEFAULT true CHECK (is_only),
    holder     text        NOT NULL,
    fence      bigint      NOT NULL,
    expires_at timestamptz NOT NULL
);
INSERT INTO publisher (holder, fence, expires_at) VALUES ('', 0, '-infinity');

-- A lineage that a restore began is unconfirmed until an admin has looked at it: nodes hold on to revocations.
ALTER TABLE configuration
    ADD COLUMN lineage_since     timestamptz NOT NULL DEFAULT date_trunc('milliseconds', now()),
    ADD COLUMN lineage_confirmed boolean     NOT NULL DEFAULT true,
    ADD COLUMN previous_lineage  bytea       CHECK (length(previous_lineage) = 16);

-- A node is known by its id and the boot of its process: two processes with one id are two rows, and seen as such.
ALTER TABLE nodes
    DROP CONSTRAINT nodes_pkey,
    ADD PRIMARY KEY (id, boot_id),
    ADD COLUMN first_seen_at    timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN canary           text        NOT NULL DEFAULT '',
    ADD COLUMN held_revocations bigint      NOT NULL DEFAULT 0;

-- The change of one policy that a share of the nodes enforces already. `policies` keeps what the others enforce, so
-- that an abort can always be done: it only forgets this row. Columns from `name` to `enabled` are the policy's.
CREATE TABLE canary (
    is_only    boolean     PRIMARY KEY DEFAULT true CHECK (is_only),
    id         text        NOT NULL CHECK (id ~ '^[0-9a-f]{32}$'),
    policy_id  text        NOT NULL REFERENCES policies (id) ON DELETE CASCADE,
    action     text        NOT NULL CHECK (action IN ('create', 'update', 'delete')),
    name       text        NOT NULL,
    kind       text        NOT NULL,
    config     json        NOT NULL,
    scope_app  text,
    scope_key  text,
    mode       text        NOT NULL,
    on_error   text        NOT NULL,
    priority   integer,
    enabled    boolean     NOT NULL,
    -- Hundredths of a percent of the nodes; the nodes whose hash is at most `threshold` are in it.
    share      integer     NOT NULL CHECK (share BETWEEN 1 AND 10000),
    threshold  bytea       NOT NULL CHECK (length(threshold) = 8),
    actor      text        NOT NULL,
    opened_at  timestamptz NOT NULL,
    version    bigint      NOT NULL
);
