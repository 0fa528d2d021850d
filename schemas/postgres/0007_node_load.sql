-- How busy a node is and which dependencies it does without, as it reported last; empty for a node of an older build.
ALTER TABLE nodes ADD COLUMN load json NOT NULL DEFAULT '{}' CHECK (octet_length(load::text) <= 65536);
