-- Charges every limit of a request or none, by this server's clock, for any mix of counters; what can be returned later
-- is written down under the node's lease. Requests that only count in fixed windows have reserve.lua, which is shorter.
--
-- KEYS   with a lease: leases, the node's open reservations. Then per claim its counter, and when it bounds distinct
--        values: how many were made in this window, and the counter that further values share. No two claims share one
-- ARGV   holder, id: of the lease; both empty without one. 1 when there is a lease, all claims are of kind l or c,
--        and none bounds distinct values, else 0. Then per claim
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
-- error  a counter that is none (WRONGTYPE, not an integer), OOM, READONLY, taken back before: nothing was charged
--
-- All is read before anything is charged, so an error leaves nothing half done. A reservation that is still open is
-- answered again as it was, and not charged again. Before a lease is renewed, or a claim refused for want of what can be
-- returned, what a dead node held is given back.
-- A counter from a clock that was ahead is moved to this one, charged or not.

local keys, argv = KEYS, ARGV
local holder, id = argv[1], argv[2]

-- Sent over a connection that was lost, and overtaken by what gives it back: nobody would close it.
if id ~= '' and call('EXISTS', string.sub(keys[1], 1, -2) .. 'k:' .. holder .. ':' .. id) == 1 then
  return redis.error_reply('ERR the reservation was taken back before it came')
end

-- Fixed windows that have begun, and places, under a lease that is fresh: half the time of what follows. Charges first;
-- whatever is not as expected is taken back and left to what follows.
if argv[3] == '1' then
  local count, now, first = #keys - 2, nil, nil
  if argv[4] == 'l' then
    -- Cheaper than TIME, and both are needed anyway or nearly so.
    first = call('PEXPIRETIME', keys[3])
    now = first - call('PTTL', keys[3])
  else
    local time = call('TIME')
    now = time[1] * 1000 + math.floor(time[2] / 1000)
  end
  local deadline = (call('ZSCORE', keys[1], holder) or 0) + 0
  local usual = deadline >= now + FRESH and deadline <= now + LEASE
  local reply = count == 1 and {0, now, 0, 0, 0} or {0, now, 0, 0, 0, 0, 0, 0}
  local charged, fault, record = 0, nil, ''
  for i = 1, usual and count or 0 do
    local key, arg = keys[i + 2], 6 * i - 2
    local limit, is_window = argv[arg + 3] + 0, argv[arg] == 'l'
    local last, reset = 0, 0
    if is_window then
      last = i == 1 and first or call('PEXPIRETIME', key)
      reset = last + 1 - now
    end
    usual = limit >= 0 and (not is_window or last > 0 and reset <= argv[arg + 4] + 0)
    if not usual then break end
    local used = redis.pcall('INCRBY', key, argv[arg + 2])
    if type(used) ~= 'number' then
      fault = used
      break
    end
    charged = i
    usual = used <= limit and used >= 0
    if not usual then break end
    if not is_window then call('PEXPIRE', key, '2764800000') end
    local suffix = string.sub(key, #keys[1])
    record = record .. pack('>BI2c0i8i8', argv[arg + 1] + 1, #suffix, suffix, argv[arg + 2], last)
    reply[3 * i], reply[3 * i + 1], reply[3 * i + 2] = limit - used, reset, last
  end
  -- It may be there already: sent again.
  if usual and not fault and call('HSETNX', keys[2], id, record) == 1 then return reply end
  for i = 1, charged do
    if call('DECRBY', keys[i + 2], argv[6 * i]) <= 0 and argv[6 * i - 2] == 'c' then call('DEL', keys[i + 2]) end
  end
  if fault then return fault end
end

local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local leased = id ~= ''
local stale, record = false, nil
if leased then
  record = call('HGET', keys[2], id)
  local deadline = call('ZSCORE', keys[1], holder)
  if deadline then deadline = deadline + 0 end
  -- Its node renews it more often than this.
  stale = not deadline or deadline < now + FRESH or deadline > now + LEASE
end

-- What each claim found and what it would write, an array per claim: a table with names takes 1 us.
local KIND, NAME, STATUS, COST, CHARGE, LEFT, MARK, FITS, SHARED = 1, 2, 3, 4, 5, 6, 7, 8, 9
local MADE, ENDS, RESET, NEW, FIRST, SECOND, SPAN = 10, 11, 12, 13, 14, 15, 16
local claims, refused, lib
for attempt = 1, 2 do
  -- Whether what can be returned is short, and whether returning it would be of no use.
  local key, arg, place, short, futile = leased and 3 or 1, 4, 1, false, false
  claims, refused = {}, 0
  while arg <= #argv do
    local kind, cost, limit, window = argv[arg], argv[arg + 2] + 0, argv[arg + 3] + 0, argv[arg + 4] + 0
    local status, charge, distinct = argv[arg + 1] == '1' and 2 or 1, argv[arg + 2], argv[arg + 5]
    local name, made, ends, shared, known, mark, _ = keys[key], nil, nil, false, nil, 0, nil
    local shadow = limit < 0
    if shadow then limit = -1 - limit end
    if record then
      known, _, _, mark, place = unpack_bytes('>BI2c0i8i8', record, place)
      shared, cost = known >= 4, 0
      if shared then name = keys[key + 2] end
    end
    -- The first 40 bytes are all of a counter, but of a sliding window, and often enough of that.
    local value = call('GETRANGE', name, '0', '39')
    if distinct == '0' then
      key = key + 1
    else
      if value == '' and not record then
        made, ends = keys[key + 1], now - now % window + window
        local count = call('GET', made) or '0'
        count = (count == '0' or string.find(count, INTEGER)) and tonumber(count) or -1
        if count < 0 then return redis.error_reply('ERR value is not an integer or out of range') end
        if count >= distinct + 0 then
          name, made, shared = keys[key + 2], nil, true
          value = call('GETRANGE', name, '0', '39')
        end
      end
      key = key + 3
    end

    -- reset is of a claim that fits, wait of one that does not; what is written differs by kind.
    local left, found, reset, wait, new, first, second = 0, 0, 0, 0, nil, nil, nil
    if kind == 'l' or kind == 'c' then
      local used = (value == '' or value == '0') and 0 or string.find(value, INTEGER) and tonumber(value)
      if not used or used > EXACT then
        return redis.error_reply('ERR value is not an integer or out of range')
      end
      if kind == 'l' then
        found = value == '' and -1 or call('PEXPIRETIME', name)
        -- No expiry: new, or lost. Beyond this window: the clock was set back. Negative: not ours.
        if found < 0 or found - now >= window or used < 0 then
          if found >= 0 or used < 0 then used = 0 end
          found = now - now % window + window - 1
          new = used + cost
        end
        reset = found + 1 - now
        wait = reset
      else
        used = math.max(used, 0)
        new, wait = used + cost, 1000
      end
      left = limit - used
    elseif kind == 's' then
      local grain = window / 50
      found = math.floor(now / grain)
      local head, total, newest, slots = found, 0, 0, nil
      if value == '' then
        slots = string.rep('\0', 408)
      else
        if #value == 40 then head, total, newest = unpack_bytes('>i8i8i8', value) end
        if #value < 40 or newest < 0 or newest > total then
          return redis.error_reply('ERR value is not an integer or out of range')
        end
      end
      if head ~= found or cost > limit - total and not slots then
        lib = lib or library()
        slots, total = lib.slide(call('GET', name), found)
        newest = unpack_bytes('>i8', slots)
        new = head < found
        if head > found then lib.store(name, slots, total, found, grain) end
      else
        new = slots ~= nil
      end
      left, reset = limit - total, (found + 51) * grain - now
      wait = reset
      if cost > left then
        -- The oldest slots leave first: until enough of them have.
        local short = cost - left
        for slot = 50, 0, -1 do
          short = short - unpack_bytes('>i8', slots, 1 + 8 * slot)
          if short <= 0 then
            wait = (found - slot + 51) * grain - now
            break
          end
        end
      end
      first, second = total + cost, newest + cost
      if new then new = slots end
      window = grain
    else
      local refill, price, capacity = argv[arg + 6] + 0, argv[arg + 7] + 0, argv[arg + 8] + 0
      arg = arg + 3
      if value ~= '' and #value ~= 40 then
        return redis.error_reply('ERR value is not an integer or out of range')
      end
      lib = lib or library()
      local level = lib.fill(value ~= '' and value, now, refill, price, capacity)
      -- Known for as long as distinct values are counted.
      ends = distinct == '0' and 0 or now - now % window + window
      if value ~= '' and unpack_bytes('>i8', value, 9) > now then
        lib.pour(name, level, now, refill, price, capacity, ends)
      end
      left = math.floor(level / price)
      -- More than a full bucket never fits; its wait is until the bucket is full.
      wait = math.ceil((math.min(cost * price, capacity) - level) / refill)
      new, first, second, window = level - cost * price, refill, price, capacity
      reset = math.ceil((capacity - level) / refill)
    end

    local fits
    if record then
      fits = known % 4 > 0
    else
      mark, fits = found, cost <= left
      if not fits then
        if status == 2 then
          short = true
        elseif not shadow then
          futile = true
        end
        if not shadow and refused == 0 then refused = #claims + 1 end
      end
    end
    claims[#claims + 1] = {
      kind, name, status, cost, charge, left, mark, fits, shared, made or false, ends or false, fits and reset or wait,
      new or false, first or false, second or false, window,
    }
    arg = arg + 6
  end
  if attempt == 2 or not leased or record or futile or not (short or stale) then break end
  if library().reap(keys[1], holder, now, true) == 0 then break end
end

local charged = refused == 0 and not record
local reply, packed = #claims == 1 and {refused, now, 0, 0, 0} or {refused, now, 0, 0, 0, 0, 0, 0}, ''
for i = 1, #claims do
  local claim = claims[i]
  local kind, name, cost, left, mark = claim[KIND], claim[NAME], claim[COST], claim[LEFT], claim[MARK]
  local fits, reset, new, first = claim[FITS], claim[RESET], claim[NEW], claim[FIRST]
  if charged and fits then
    left = left - cost
    if kind == 'l' then
      if new then
        call('SET', name, new, 'PXAT', mark)
      else
        call('INCRBY', name, claim[CHARGE])
      end
    elseif kind == 's' then
      if new then
        call('SET', name, pack('>i8i8i8', mark, first, claim[SECOND]) .. string.sub(new, 9),
          'PXAT', (mark + 51) * claim[SPAN])
      else
        call('SETRANGE', name, '0', pack('>i8i8i8', mark, first, claim[SECOND]))
      end
    elseif kind == 'b' then
      lib.pour(name, new, now, first, claim[SECOND], claim[SPAN], claim[ENDS])
      reset = math.ceil((claim[SPAN] - new) / first)
    else
      call('SET', name, new, 'PX', '2764800000')
    end
    if claim[MADE] and call('INCR', claim[MADE]) == 1 then
      call('PEXPIREAT', claim[MADE], claim[ENDS])
    end
  end
  if left < 0 then left = 0 end
  reply[3 * i] = fits and left or -1 - left
  reply[3 * i + 1] = reset
  reply[3 * i + 2] = claim[SHARED] and -1 - mark or mark
  if charged and leased then
    local suffix = string.sub(name, #keys[1])
    local status = (fits and claim[STATUS] or 0) + (claim[SHARED] and 4 or 0)
    packed = packed .. pack('>BI2c0i8i8', status, #suffix, suffix, cost, mark)
  end
end

if charged and leased then
  if stale then
    call('HSET', keys[2], '', '', id, packed)
    call('ZADD', keys[1], now + LEASE, holder)
    call('PEXPIRE', keys[1], KEEP)
    call('PEXPIRE', keys[2], KEEP)
  else
    call('HSET', keys[2], id, packed)
  end
end
return reply
