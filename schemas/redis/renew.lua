-- Tells that a node lives: what it holds open stays charged for another lease. Also gives back what a dead one held.
--
-- KEYS   leases, the node's open reservations
-- ARGV   holder
-- reply  how many reservations the node holds open, how many of another's were given back
--
-- A node without open reservations has no lease. One whose lease lapsed, unless another has looked since, still holds
-- all it held; what was taken from it in the meantime, its settlements find gone.

local keys, holder = KEYS, ARGV[1]
local lib = library()
local now = lib.clock()
local open = call('HLEN', keys[2]) - call('HEXISTS', keys[2], '')
if open > 0 then
  call('ZADD', keys[1], now + LEASE, holder)
  call('PEXPIRE', keys[1], KEEP)
  call('PEXPIRE', keys[2], KEEP)
else
  call('DEL', keys[2])
  call('ZREM', keys[1], holder)
end
-- From a clock that was ahead: a dead node's lease must not outlast the difference.
local last = call('ZREVRANGE', keys[1], 0, 0, 'WITHSCORES')
if last[1] and last[2] + 0 > now + LEASE then call('ZADD', keys[1], now + LEASE, last[1]) end
return {open, lib.reap(keys[1], holder, now)}
