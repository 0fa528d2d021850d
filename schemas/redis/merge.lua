-- Adds what a node admitted on its own while this server was out, once, to the windows that are still the same.
--
-- KEYS   the merge's own, then per counter its key, and of one that bounds distinct values how many the window has seen
-- ARGV   per counter
--          kind, used               l, s or b; 1...2^53
--          window                   ms
--          mark                     of l the window's last ms, of s the grain of the last use, of b 0
--          refill, price, capacity  of b, else 0
--          bounded                  1 when there is the second key, else 0: then a new counter is counted
-- reply  how many counters were charged; -1 when this merge was done before
-- error  the first counter that cannot be counted; the others were charged all the same
--
-- May pass a limit, which is then used up. A bucket is not pressed below empty: it was filled in the meantime, too.

local keys, argv = KEYS, ARGV
if not call('SET', keys[1], '1', 'NX', 'PX', DAY) then return -1 end
local lib = library()
local now = lib.clock()

local function merge(key, seen, kind, used, window, mark, refill, price, capacity)
  local ends = seen and now - now % window + window
  local value = call('GET', key)
  if kind == 'l' then
    local last = now - now % window + window - 1
    if mark ~= last then return false end
    local known = call('PEXPIRETIME', key)
    if known == -2 then
      call('SET', key, used, 'PXAT', last)
    elseif known == last then
      lib.adjust(key, kind, mark, used)
    else
      return false
    end
  elseif kind == 's' then
    local grain = window / 50
    local current = math.floor(now / grain)
    local slots, total = lib.slide(value, current)
    -- The mark is by another clock: no use lies ahead.
    slots, total = lib.add(slots, total, current, math.min(mark, current), used)
    if not slots then return false end
    lib.store(key, slots, total, current, grain)
  else
    local level = lib.fill(value, now, refill, price, capacity)
    lib.pour(key, math.max(math.min(level, 0), level - used * price), now, refill, price, capacity,
      math.max(call('PEXPIRETIME', key), ends or 0))
  end
  if seen and not value and call('INCR', seen) == 1 then call('PEXPIREAT', seen, ends) end
  return true
end

local charged, fault, key = 0, nil, 2
for arg = 1, #argv, 8 do
  local name, seen = keys[key], argv[arg + 7] == '1' and keys[key + 1]
  key = key + (seen and 2 or 1)
  local works, done = pcall(merge, name, seen, argv[arg], argv[arg + 1] + 0, argv[arg + 2] + 0, argv[arg + 3] + 0,
    argv[arg + 4] + 0, argv[arg + 5] + 0, argv[arg + 6] + 0)
  if not works then
    fault = fault or type(done) == 'table' and done.err or done
  elseif done then
    charged = charged + 1
  end
end
return fault and redis.error_reply(fault) or charged
