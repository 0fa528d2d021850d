-- What each rule said of a refused request, as the node that refused it wrote it down (schemas/usage.md, field 29).
ALTER TABLE usage ADD COLUMN explanation text CHECK (octet_length(explanation) <= 2048);
