-- Moves the snapshot head, never backwards, and announces it; a canary's notice moves with it.
-- KEYS: head (manifest bytes), position ("<lineage hex> <version>"), canary (notice bytes), fence; one hash slot.
-- ARGV: manifest, lineage, version, position the caller saw, channel, the caller's fence, seconds that head and canary
-- live, notice or ''.
-- Answers 1 when moved, 2 when already there, 0 when refused (the head is newer, or its lineage is not the one seen),
-- -1 when another publisher has taken over since the caller became one.

-- Decimal texts without leading zeros: the longer is the larger. Doubles would round past 2^53.
local function exceeds(a, b) return #a > #b or (#a == #b and a > b) end

local fence = redis.call('GET', KEYS[4])
if fence and exceeds(fence, ARGV[6]) then return -1 end
local position = redis.call('GET', KEYS[2])
local wanted = ARGV[2] .. ' ' .. ARGV[3]
local answer = 1
if position then
  local lineage, version = string.match(position, '^(%x+) (%d+)$')
  if lineage == ARGV[2] then
    if exceeds(version, ARGV[3]) then return 0 end
    if version == ARGV[3] then answer = 2 end
  elseif position ~= ARGV[4] then
    return 0
  end
elseif ARGV[4] ~= '' then
  -- The head that the caller saw is gone (FLUSHALL): its chunks are too, so look again before moving.
  return 0
end
redis.call('SET', KEYS[4], ARGV[6])
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[7])
redis.call('SET', KEYS[2], wanted)
if ARGV[8] == '' then redis.call('DEL', KEYS[3]) else redis.call('SET', KEYS[3], ARGV[8], 'EX', ARGV[7]) end
redis.call('PUBLISH', ARGV[5], wanted)
return answer
