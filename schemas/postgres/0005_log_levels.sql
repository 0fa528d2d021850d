-- The log levels that an operator has set over those of the programs' start; one row. A row without a setting, or whose
-- time is over, says that nobody has.
CREATE TABLE log_levels (
    only_row   boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    setting    text        NOT NULL DEFAULT '' CHECK (octet_length(setting) <= 4096),
    expires_at timestamptz
);
INSERT INTO log_levels DEFAULT VALUES;
