-- Corrects what finished requests were charged by what they used; also gives back the charge of one that never left.
--
-- KEYS   the node's open reservations and its lapsed ones, then the charged counters, each once per mark
-- ARGV   how many counters, then per counter
--          kind, mark, delta        delta of charges without a lease
--          refill, price, capacity  of b, else 0
--        then per reservation with a lease
--          id, how many charges, then per charge
--            counter (from 1), delta while it is open, delta when its lease has lapsed
--          or id, -1: give back all that it holds; its answer was lost
-- reply  how many of the reservations were open, how many counters were adjusted
-- error  the first counter that cannot be counted; the others were adjusted all the same
--
-- A reservation is closed once: whoever finds it takes it away, and a second settlement finds nothing. One that was
-- given back with a lapsed lease is charged what was used in truth, if its window is still the same.

local keys, argv = KEYS, ARGV
local count = argv[1] + 0
local deltas = {}
for counter = 1, count do deltas[counter] = argv[6 * counter - 2] + 0 end

local adjust = library()
local adjusted, fault, now = 0, nil, nil
local function apply(...)
  local works, done = pcall(adjust, ...)
  if not works then
    fault = fault or done
  elseif done then
    adjusted = adjusted + 1
  end
end

local open, arg = 0, 6 * count + 2
while arg <= #argv do
  local lost = argv[arg + 1] == '-1' and call('HGET', keys[1], argv[arg])
  local held = call('HDEL', keys[1], argv[arg])
  if lost then
    now = now or clock()
    local prefix, place = string.match(keys[1], '^.-}:'), 1
    while place <= #lost do
      local status, suffix, cost, mark
      status, suffix, cost, mark, place = unpack_bytes('>BI2c0i8i8', lost, place)
      if status % 4 > 0 then apply(prefix .. suffix, string.sub(suffix, 1, 1), mark, -cost, now) end
    end
  end
  local last = arg + 1 + 3 * math.max(argv[arg + 1], 0)
  local which = held == 1 and 1 or call('HDEL', keys[2], argv[arg]) == 1 and 2
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
    local kind, refill, price, capacity = argv[arg], nil, nil, nil
    if kind == 'b' then
      now = now or clock()
      refill, price, capacity = argv[arg + 3] + 0, argv[arg + 4] + 0, argv[arg + 5] + 0
    end
    apply(keys[counter + 2], kind, argv[arg + 1] + 0, delta, now, refill, price, capacity)
  end
end
return fault or {open, adjusted}
