-- Corrects what finished requests were charged by what they used; also gives back the charge of one that never left.
--
-- KEYS   the node's open reservations and its lapsed ones, then the charged counters, each once per mark
-- ARGV   how many counters, then per counter
--          kind, mark, delta        delta of charges without a lease
--          refill, price, capacity  of b, else 0
--        then per reservation with a lease
--          id, how many charges, then per charge
--            counter (from 1), delta while it is open, delta when its lease has lapsed
--          or id, -1: give back all that it holds; its answer was lost. When it holds nothing yet, it may be on its
--          way over a connection that is gone, and is refused when it comes within ten minutes
-- reply  how many of the reservations were open, how many counters were adjusted
-- error  the first counter that cannot be counted; the others were adjusted all the same
--
-- A reservation is closed once: whoever finds it takes it away, and a second settlement finds nothing. One that was
-- given back with a lapsed lease is charged what was used in truth, if its window is still the same.

local keys, argv = KEYS, ARGV
local count = argv[1] + 0
local deltas = {}
for counter = 1, count do deltas[counter] = argv[6 * counter - 2] + 0 end

local adjusted, fault, lib, now = 0, nil, nil, nil

-- Of all kinds but l, which is common and quick.
local function apply(...)
  local works, done = pcall(lib.adjust, ...)
  if not works then
    -- Redis 7.0 has made a text of it, later ones may not.
    fault = fault or type(done) == 'table' and done.err or done
  elseif done then
    adjusted = adjusted + 1
  end
end

local function prepare()
  lib = lib or library()
  now = now or lib.clock()
end

local open, arg = 0, 6 * count + 2
while arg <= #argv do
  local lost = argv[arg + 1] == '-1' and call('HGET', keys[1], argv[arg])
  local held = call('HDEL', keys[1], argv[arg])
  if lost then
    prepare()
    local prefix, place = string.match(keys[1], '^.-}:'), 1
    while place <= #lost do
      local status, suffix, cost, mark
      status, suffix, cost, mark, place = unpack_bytes('>BI2c0i8i8', lost, place)
      if status % 4 > 0 then apply(prefix .. suffix, string.sub(suffix, 1, 1), mark, -cost, now) end
    end
  end
  local last = arg + 1 + 3 * math.max(argv[arg + 1], 0)
  local which = held == 1 and 1 or call('HDEL', keys[2], argv[arg]) == 1 and 2
  if not which and argv[arg + 1] == '-1' then
    local prefix, holder = string.match(keys[1], '^(.-}:)o:(.*)$')
    call('SET', prefix .. 'k:' .. holder .. ':' .. argv[arg], '1', 'PX', '600000')
  end
  if which then
    for charge = arg + 2, last, 3 do
      local counter = argv[charge] + 0
      deltas[counter] = deltas[counter] + argv[charge + which]
    end
  end
  open, arg = open + held, last + 1
end

for counter = 1, count do
  local delta = deltas[counter]
  if delta ~= 0 then
    local arg = 6 * counter - 4
    local key, kind, mark = keys[counter + 2], argv[arg], argv[arg + 1] + 0
    if kind == 'b' then
      prepare()
      apply(key, kind, mark, delta, now, argv[arg + 3] + 0, argv[arg + 4] + 0, argv[arg + 5] + 0)
    elseif kind ~= 'l' then
      lib = lib or library()
      apply(key, kind, mark, delta)
    elseif call('PEXPIRETIME', key) == mark then
      local used = redis.pcall('INCRBY', key, math.max(math.min(delta, EXACT), -EXACT))
      if type(used) ~= 'number' then
        fault = fault or used.err
      else
        adjusted = adjusted + 1
        if used < 0 then
          call('SET', key, '0', 'KEEPTTL')
        elseif used > EXACT then
          call('SET', key, EXACT, 'KEEPTTL')
        end
      end
    end
  end
end
return fault and redis.error_reply(fault) or {open, adjusted}
