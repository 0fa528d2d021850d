-- Adds what a node admitted on its own while this server was out, once, to the windows that are still the same.
--
-- KEYS   the merge's own, then the counters
-- ARGV   per counter
--          kind, used               l, s or b; 1...2^53
--          window                   ms
--          mark                     of l the window's last ms, of s the grain of the last use, of b 0
--          refill, price, capacity  of b, else 0
-- reply  how many counters were charged; -1 when this merge was done before
-- error  the first counter that cannot be counted; the others were charged all the same
--
-- May pass a limit, which is then used up. A bucket is not pressed below empty: it was filled in the meantime, too.

local keys, argv = KEYS, ARGV
if not call('SET', keys[1], '1', 'NX', 'PX', DAY) then return -1 end
local lib = library()
local now = lib.clock()

local function merge(key, kind, used, window, mark, refill, price, capacity)
  if kind == 'l' then
    local last = now - now % window + window - 1
    if mark ~= last then return false end
    local known = call('PEXPIRETIME', key)
    if known == -2 then
      call('SET', key, used, 'PXAT', last)
    elseif known == last then
      lib.adjust(key, kind, mark, used)
    end
    return known == -2 or known == last
  end
  local value = call('GET', key)
  if kind == 's' then
    local grain = window / 50
    local current = math.floor(now / grain)
    local slots, total = lib.slide(value, current)
    -- The mark is by another clock: no use lies ahead.
    slots, total = lib.add(slots, total, current, math.min(mark, current), used)
    if not slots then return false end
    lib.store(key, slots, total, current, grain)
    return true
  end
  local level = lib.fill(value, now, refill, price, capacity)
  lib.pour(key, math.max(math.min(level, 0), level - used * price), now, refill, price, capacity,
    call('PEXPIRETIME', key))
  return true
end

local charged, fault = 0, nil
for counter = 1, #keys - 1 do
  local arg = 7 * counter - 6
  local works, done = pcall(merge, keys[counter + 1], argv[arg], argv[arg + 1] + 0, argv[arg + 2] + 0,
    argv[arg + 3] + 0, argv[arg + 4] + 0, argv[arg + 5] + 0, argv[arg + 6] + 0)
  if not works then
    fault = fault or type(done) == 'table' and done.err or done
  elseif done then
    charged = charged + 1
  end
end
return fault and redis.error_reply(fault) or charged
