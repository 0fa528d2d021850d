-- How long a provider may take, where it is not what the nodes' own configuration says; and whether its address may be a
-- private one, which self-hosted models have. Link-local and metadata addresses are refused in any case.
ALTER TABLE providers
    ADD COLUMN connect_timeout_ms    bigint  CHECK (connect_timeout_ms BETWEEN 1 AND 300000),
    ADD COLUMN first_byte_timeout_ms bigint  CHECK (first_byte_timeout_ms BETWEEN 1 AND 3600000),
    ADD COLUMN idle_timeout_ms       bigint  CHECK (idle_timeout_ms BETWEEN 1 AND 3600000),
    ADD COLUMN allow_private         boolean NOT NULL DEFAULT true;
