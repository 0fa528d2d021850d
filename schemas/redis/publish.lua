-- Moves the snapshot head, never backwards, and announces it.
-- KEYS: head (manifest bytes), position ("<lineage hex> <version>"); one hash slot.
-- ARGV: manifest, lineage, version, position the caller saw, channel.
-- Answers 1 when moved, 2 when already there, 0 when refused (the head is newer, or its lineage is not the one seen).
local position = redis.call('GET', KEYS[2])
local wanted = ARGV[2] .. ' ' .. ARGV[3]
local answer = 1
if position then
  local lineage, version = string.match(position, '^(%x+) (%d+)$')
  if lineage == ARGV[2] then
    -- Decimal texts without leading zeros: the longer is the larger. Doubles would round past 2^53.
    if #version > #ARGV[3] or (#version == #ARGV[3] and version > ARGV[3]) then return 0 end
    if version == ARGV[3] then answer = 2 end
  elseif position ~= ARGV[4] then
    return 0
  end
elseif ARGV[4] ~= '' then
  -- The head that the caller saw is gone (FLUSHALL): its chunks are too, so look again before moving.
  return 0
end
redis.call('SET', KEYS[1], ARGV[1])
redis.call('SET', KEYS[2], wanted)
redis.call('PUBLISH', ARGV[5], wanted)
return answer
