-- Adjusts what a request was charged to what it used; also gives back the charge of one that never left.
-- Needs Redis 7.0 (PEXPIRETIME).
--
-- KEYS   the charged counters, all in one {app} slot
-- ARGV   per counter: delta, last
--        delta  used - charged, -2^53...2^53
--        last   the charged window's last ms, as reserve.lua gave it
-- reply  how many counters were adjusted
-- error  the first counter that cannot be counted; the others were adjusted all the same
--
-- Only the window that was charged is changed: its last ms is the counter's expiry, and when that is another or the
-- counter is gone, the window is over. A counter stays within 0...2^53, the exact range of a Lua number.

local call, pcall, keys, argv = redis.call, redis.pcall, KEYS, ARGV
local adjusted, fault = 0, nil

for i = 1, #keys do
  if call('PEXPIRETIME', keys[i]) == argv[2 * i] + 0 then
    local used = pcall('INCRBY', keys[i], argv[2 * i - 1])
    if type(used) ~= 'number' then
      fault = fault or used
    else
      adjusted = adjusted + 1
      if used < 0 then
        call('SET', keys[i], '0', 'KEEPTTL')
      elseif used > 9007199254740992 then
        call('SET', keys[i], '9007199254740992', 'KEEPTTL')
      end
    end
  end
end
return fault or adjusted
