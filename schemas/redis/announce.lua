-- The heartbeat: repeats the head when it is still the caller's, so that a lost message costs a second at most.
-- KEYS: head, position. ARGV: "<lineage hex> <version>", channel. Answers 1, or 0 when the head is another or gone.
if redis.call('GET', KEYS[2]) ~= ARGV[1] or redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('PUBLISH', ARGV[2], ARGV[1])
return 1
