-- What a token limit needs to know of a model before a provider tells: how many tokens an answer can have at most, and
-- with which vocabulary its prompts are counted where the name does not say. Both are unknown when null.
ALTER TABLE models
    ADD COLUMN max_output_tokens bigint CHECK (max_output_tokens BETWEEN 1 AND 2147483648),
    ADD COLUMN encoding          text   CHECK (encoding IN ('o200k_base', 'cl100k_base', 'p50k_base', 'r50k_base'));
