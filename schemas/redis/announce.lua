-- The heartbeat: repeats the head when it is still the caller's, so that a lost message costs a second at most, and
-- keeps it alive; a head that nobody repeats is gone after its time to live.
-- KEYS: head, position, canary, fence. ARGV: "<lineage hex> <version>", channel, the caller's fence, seconds to live.
-- Answers 1; 0 when the head is another or gone; -1 when another publisher has taken over.
local fence = redis.call('GET', KEYS[4])
if fence and (#fence > #ARGV[3] or (#fence == #ARGV[3] and fence > ARGV[3])) then return -1 end
if redis.call('GET', KEYS[2]) ~= ARGV[1] or redis.call('EXPIRE', KEYS[1], ARGV[4]) == 0 then return 0 end
redis.call('EXPIRE', KEYS[3], ARGV[4])
redis.call('PUBLISH', ARGV[2], ARGV[1])
return 1
