-- Charges every limit of a request or none, by this server's clock, for any mix of counters; what can be returned later
-- is written down under the node's lease. Requests that only count in fixed windows have reserve.lua, which is shorter.
--
-- KEYS   with a lease: leases, the node's open reservations. Then per claim its counter, and when it bounds distinct
--        values: how many were made in this window, and the counter that further values share. No two claims share one
-- ARGV   holder, id: of the lease; both empty without one. Then per claim
--          kind      l, s, b or c
--          leased    1 when the charge can be returned, else 0
--          cost      0...2^53
--          limit     0...2^53 - 1; of a shadow claim -1 - limit: it is charged when it fits and never refuses
--          window    ms, whole seconds; 0 of c
--          distinct  the most new counters in a window, 0 without bound
--          and of b  refill, price, capacity
-- reply  integers only: refused, now, then per claim standing, reset, mark
--          refused   0, or the first claim (from 1) that refuses: then nothing was charged
--          standing  what is left; -1 - left when the claim did not fit
--          reset     ms until all of it is free again; of a claim that did not fit, until it would
--          mark      what settling must name; -1 - mark when the shared counter was charged
-- error  a counter that is none (WRONGTYPE, not an integer), OOM, READONLY: nothing was charged
--
-- All is read before anything is written, so an error leaves nothing half done. A reservation that is still open is
-- answered again as it was, and not charged again.

local keys, argv = KEYS, ARGV
local now = clock()
local holder, id = argv[1], argv[2]
local key, arg = 1, 3
local suffix_start, record, deadline

if id ~= '' then
  suffix_start = #keys[1]
  key = 3
  local _
  _, deadline = reap(keys[1], holder, now)
  record = call('HGET', keys[2], id)
end

local place = 1
local claims, refused = {}, 0
while arg <= #argv do
  local kind, cost, limit, window = argv[arg], argv[arg + 2] + 0, argv[arg + 3] + 0, argv[arg + 4] + 0
  local distinct = argv[arg + 5] + 0
  local claim = {kind = kind, key = keys[key], leased = argv[arg + 1] == '1', mark = 0}
  arg = arg + 6
  local shadow = limit < 0
  if shadow then limit = -1 - limit end
  local known, _
  if record then
    known, _, _, claim.mark, place = unpack_bytes('>BI2c0i8i8', record, place)
    if known >= 4 then
      claim.key, claim.shared, known = keys[key + 2], true, known - 4
    end
    cost = 0
  end
  local value = call('GET', claim.key)
  if distinct > 0 then
    if not value and not record then
      if (integer(call('GET', keys[key + 1])) or 0) >= distinct then
        claim.key, claim.shared = keys[key + 2], true
        value = call('GET', claim.key)
      else
        claim.made, claim.last = keys[key + 1], now - now % window + window - 1
      end
    end
    key = key + 3
  else
    key = key + 1
  end

  local left, mark
  if kind == 'l' then
    local used = integer(value) or 0
    local last = value and call('PEXPIRETIME', claim.key) or -1
    -- No expiry: new, or lost. Beyond this window: the clock was set back.
    if last - now >= window or used < 0 then used = 0 end
    if last < 0 or last - now >= window then last = now - now % window + window - 1 end
    left, mark = limit - used, last
    claim.after, claim.reset, claim.full = used + cost, last + 1 - now, last + 1 - now
  elseif kind == 's' then
    local grain = window / 50
    local current = math.floor(now / grain)
    local total, slots = slide(value, current)
    left, mark = limit - total, current
    claim.total, claim.slots, claim.grain = total, slots, grain
    claim.full = (current + 51) * grain - now
    if left < cost then
      -- The oldest slots leave first: until enough of them have.
      claim.reset = claim.full
      local short = cost - left
      for slot = 0, 50 do
        short = short - unpack_bytes('>i8', slots, 1 + 8 * slot)
        if short <= 0 then
          claim.reset = (current + slot + 1) * grain - now
          break
        end
      end
    end
  elseif kind == 'b' then
    local refill, price, capacity = argv[arg] + 0, argv[arg + 1] + 0, argv[arg + 2] + 0
    arg = arg + 3
    local level = fill(value, now, refill, price, capacity)
    left, mark = math.floor(level / price), 0
    claim.level, claim.refill, claim.price, claim.capacity = level, refill, price, capacity
    -- More than a full bucket never fits; its wait is until the bucket is full.
    claim.reset = math.ceil((math.min(cost * price, capacity) - level) / refill)
  else
    local used = integer(value) or 0
    left, mark = limit - used, 0
    claim.after, claim.reset, claim.full = used + cost, 1000, 0
  end
  claim.left, claim.cost = left, cost
  if record then
    claim.fits = known > 0
  else
    claim.mark = mark
    claim.fits = cost <= left
    if not claim.fits and not shadow and refused == 0 then refused = #claims + 1 end
  end
  claims[#claims + 1] = claim
end

local charges = refused == 0 and not record
local reply = {refused, now}
local packed = {}
for i = 1, #claims do
  local claim = claims[i]
  local kind, left, reset = claim.kind, claim.left, claim.reset
  if charges and claim.fits then
    left = left - claim.cost
    if kind == 'l' then
      call('SET', claim.key, claim.after, 'PXAT', claim.mark)
    elseif kind == 's' then
      local slots = claim.slots
      call('SET', claim.key, pack('>i8i8', claim.mark, claim.total + claim.cost) .. string.sub(slots, 1, 400)
        .. pack('>i8', unpack_bytes('>i8', slots, 401) + claim.cost), 'PXAT', (claim.mark + 51) * claim.grain)
    elseif kind == 'b' then
      claim.level = claim.level - claim.cost * claim.price
      pour(claim.key, claim.level, now, claim.refill, claim.price, claim.capacity)
    else
      call('SET', claim.key, claim.after, 'PX', KEEP)
    end
    if claim.made and call('INCR', claim.made) == 1 then call('PEXPIREAT', claim.made, claim.last) end
  end
  if claim.fits then
    reset = kind == 'b' and math.ceil((claim.capacity - claim.level) / claim.refill) or claim.full
  end
  left = math.max(left, 0)
  reply[3 * i] = claim.fits and left or -1 - left
  reply[3 * i + 1] = reset
  reply[3 * i + 2] = claim.shared and -1 - claim.mark or claim.mark
  if charges and id ~= '' then
    local status = not claim.fits and 0 or claim.leased and 2 or 1
    local suffix = string.sub(claim.key, suffix_start)
    packed[i] = pack('>BI2c0i8i8', claim.shared and status + 4 or status, #suffix, suffix, claim.cost, claim.mark)
  end
end

if charges and id ~= '' then
  call('HSET', keys[2], id, table.concat(packed))
  call('PEXPIRE', keys[2], KEEP)
  -- Renewed three times in a lease, so a request need not do it each time.
  if deadline < now + 7000 or deadline > now + LEASE then
    if call('ZADD', keys[1], now + LEASE, holder) == 1 then call('PEXPIRE', keys[1], KEEP) end
  end
end
return reply
