-- Charges every limit of a request or none, by this server's clock. Needs Redis 7.0 (PEXPIRETIME); runs once for
-- each request that has a limit, so every redis.call and every string made here counts.
--
-- KEYS   one counter per claim, all in one {app} slot
-- ARGV   per claim: cost, limit, window in ms
--        cost    0...2^53
--        limit   0...2^53 - 1; of a shadow claim -1 - limit: it is charged when it fits and never refuses
--        window  whole seconds; windows begin at its multiples since the Unix epoch
-- reply  integers only: refused, now, then per claim used, last
--        refused  0, or the first claim (from 1) that refuses: then nothing was charged
--        now      ms since the epoch
--        used     the counter afterwards; -1 - used when the claim did not fit
--        last     the window's last ms
-- error  the first counter that cannot be counted (WRONGTYPE, not an integer, OOM, READONLY): nothing was charged
--
-- A counter is a plain integer, which Redis keeps in the key's object itself, and its window is its expiry: the last
-- ms of the window. While it lives, INCRBY, PEXPIRETIME and one PTTL for all say everything; TIME (1.0 us, two strings)
-- and building a key per window (0.3 us a claim) are saved. Charging first and taking back on refusal is one command
-- shorter for who is admitted than looking first.

local call, keys, argv = redis.call, KEYS, ARGV
local charge = call
-- Made at its final size: growing it costs 0.1 us.
local reply = #keys == 1 and {0, 0, 0, 0} or {0, 0, 0, 0, 0, 0}
local now, fault

for i = 1, #keys do
  local key, cost, limit, window = keys[i], argv[3 * i - 2], argv[3 * i - 1] + 0, argv[3 * i] + 0
  -- The first failure of all may end the script here: nothing was charged yet.
  local used = charge('INCRBY', key, cost)
  if i > 1 and type(used) ~= 'number' then
    fault = used
    break
  end
  charge = redis.pcall
  local last = call('PEXPIRETIME', key)
  if not now then
    if last < 0 then
      local time = call('TIME')
      now = time[1] * 1000 + math.floor(time[2] / 1000)
    else
      now = last - call('PTTL', key)
    end
    reply[2] = now
  end
  -- No expiry: the counter is new (or lost it). Beyond this window: the clock was set back. Negative: not ours.
  if last < 0 or last - now >= window or used < 0 then
    if last >= 0 or used < 0 then
      used = cost + 0
      call('SET', key, cost)
    end
    last = now - now % window + window - 1
    call('PEXPIREAT', key, last)
  end
  if used > limit and (limit >= 0 or used > -1 - limit) then
    if call('DECRBY', key, cost) < 0 then call('DEL', key) end
    used = cost - used - 1
    if limit >= 0 and reply[1] == 0 then reply[1] = i end
  end
  reply[2 * i + 1] = used
  reply[2 * i + 2] = last
end

if fault or reply[1] > 0 then
  for i = 1, #keys do
    local used = reply[2 * i + 1]
    if used and used >= 0 and (reply[2 * i + 2] > 0) then
      used = call('DECRBY', keys[i], argv[3 * i - 2])
      -- Below 0: its window ended between TIME and PEXPIREAT, which deleted it; it must not live without an expiry.
      if used < 0 then
        call('DEL', keys[i])
        used = 0
      end
      reply[2 * i + 1] = used
    end
  end
end
return fault or reply
