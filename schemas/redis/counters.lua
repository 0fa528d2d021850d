-- What the scripts that change counters share; stands in front of each of them. Needs Redis 7.0.
--
-- Every key is in one {app} slot, weir:{app}:<suffix>, and a counter's suffix begins with its kind:
--
--   l  fixed window    an integer; expires with its window, whose last ms is the charge's mark
--   s  sliding window  i64 head, i64 total, 51 x i64 slots, big-endian. Time is cut into grains of a 50th of the window;
--                      the first slot is grain number `head`, each further one the grain before, and all are counted
--                      whole until the last ms of a grain is a window old. A charge's mark is the number of its grain
--   b  token bucket    i64 level, at, refill, price, capacity. At `at` ms the level was `level`; each ms adds `refill`
--                      up to `capacity`, a token costs `price`. Below 0 is debt. Absent is full. No marks (0)
--   c  concurrency     an integer; absent is 0. No marks (0)
--
-- Also there: `d:` how many new counters a window has seen, `n` leases, `o:` open reservations (and a field without a
-- name, which keeps an idle hash and its expiry), `x:` those that lapsed, `g` when 200 of them were given back, `k:`
-- those taken back before they came, `m:` merges done. docs/limits.md has it all.
--
-- Functions are made anew in each run, 0.15 us each, so they are made only when one of them is needed.

local call = redis.call
local pack, unpack_bytes = struct.pack, struct.unpack
local LEASE, KEEP, DAY, EXACT = 7000, 2764800000, 86400000, 9007199254740992
-- A lease that ends sooner is renewed by a reservation, which then looks for dead nodes, too: every 2 s while an app has
-- requests, although a node's own renewals may be 4 s apart.
local FRESH = 5000
-- What INCRBY takes, but for 0; tonumber takes more ("0x10", "1e3", " 5", "007").
local INTEGER = '^%-?[1-9]%d*$'

local function library()
  -- ms since the epoch.
  local function clock()
    local time = call('TIME')
    return time[1] * 1000 + math.floor(time[2] / 1000)
  end

  -- Of a value that no script of ours wrote. In Redis's own words, so that callers need to know one text only.
  local function reject()
    error({err = 'ERR value is not an integer or out of range'})
  end

  -- The level of a bucket now.
  local function fill(value, now, refill, price, capacity)
    if not value then return capacity end
    local level, at, _, old = unpack_bytes('>i8i8i8i8', value)
    if old < 1 then reject() end
    if old ~= price then level = math.floor(level / old * price) end
    if now > at then level = level + (now - at) * refill end
    return math.min(level, capacity)
  end

  -- Writes a bucket, which is gone when it is full again, but not before `floor`: while distinct values are counted, a
  -- known one must not become a new one by being idle.
  local function pour(key, level, now, refill, price, capacity, floor)
    level = math.max(level, -EXACT)
    call('SET', key, pack('>i8i8i8i8i8', level, now, refill, price, capacity),
      'PXAT', math.max(now + math.ceil((capacity - level) / refill) + 1, floor))
  end

  -- The slots of a sliding window, and its total, as of the grain `current`.
  local function slide(value, current)
    if not value then return string.rep('\0', 408), 0 end
    if #value ~= 424 then reject() end
    local head, total = unpack_bytes('>i8i8', value)
    local shift = current - head
    if shift > 50 then return string.rep('\0', 408), 0 end
    -- A clock that was set back takes the slots with it: they grow old from where they are now. Who finds that writes
    -- it down, or they would wait for the clock to be where it was.
    if shift <= 0 then return string.sub(value, 17), total end
    for place = 425 - 8 * shift, 417, 8 do total = total - unpack_bytes('>i8', value, place) end
    return string.rep('\0', 8 * shift) .. string.sub(value, 17, 424 - 8 * shift), total
  end

  -- Writes a sliding window; it is gone when its first slot, the newest, has left.
  local function store(key, slots, total, current, grain)
    call('SET', key, pack('>i8i8', current, total) .. slots, 'PXAT', (current + 51) * grain)
  end

  -- Adds to the slot of grain `mark`, as of `current`; nil when that has left.
  local function add(slots, total, current, mark, delta)
    local place = 1 + 8 * (current - mark)
    if place < 1 or place > 401 then return nil end
    local charged = unpack_bytes('>i8', slots, place)
    local new = math.min(math.max(charged + delta, 0), EXACT)
    return string.sub(slots, 1, place - 1) .. pack('>i8', new) .. string.sub(slots, place + 8), total - charged + new
  end

  -- Adds to what a counter was charged at `mark`; a window that is over is left alone.
  local function adjust(key, kind, mark, delta, now, refill, price, capacity)
    delta = math.max(math.min(delta, EXACT), -EXACT)
    if kind == 'l' then
      if call('PEXPIRETIME', key) ~= mark then return false end
      local used = call('INCRBY', key, delta)
      if used < 0 then
        call('SET', key, '0', 'KEEPTTL')
      elseif used > EXACT then
        call('SET', key, EXACT, 'KEEPTTL')
      end
      return true
    end
    local value = call('GET', key)
    if kind == 's' then
      if not value then return false end
      if #value ~= 424 then reject() end
      local head, total = unpack_bytes('>i8i8', value)
      local slots
      slots, total = add(string.sub(value, 17), total, head, mark, delta)
      if not slots then return false end
      call('SET', key, pack('>i8i8', head, total) .. slots, 'KEEPTTL')
      return true
    end
    if kind == 'b' then
      if value then
        if #value ~= 40 then reject() end
        if not refill then
          local _
          _, _, refill, price, capacity = unpack_bytes('>i8i8i8i8i8', value)
        end
      elseif delta <= 0 or not refill then
        return false
      end
      local level = fill(value, now, refill, price, capacity)
      pour(key, math.min(level - delta * price, capacity), now, refill, price, capacity, call('PEXPIRETIME', key))
      return true
    end
    if not value then return false end
    local used = tonumber(value)
    if not used or used % 1 ~= 0 then reject() end
    if used + delta > 0 then
      call('SET', key, used + delta, 'PX', KEEP)
    else
      call('DEL', key)
    end
    return true
  end

  -- Gives back what another node holds whose lease has lapsed, at most 200 reservations: as many were there when it
  -- answers 200, and the next call goes on; a hurried one not within 5 ms, or pipelined refusals of a millisecond each
  -- would keep everybody waiting.
  local function reap(leases, own, now, hurried)
    -- The caller's own may be the first for ever: one that is idle, or only refused, is not renewed.
    local first = call('ZRANGE', leases, 0, 1, 'WITHSCORES')
    local place = first[1] == own and 3 or 1
    local holder, deadline = first[place], (first[place + 1] or 0) + 0
    if not holder then return 0 end
    if deadline > now + LEASE then
      -- From a clock that was ahead.
      call('ZADD', leases, now + LEASE, holder)
      return 0
    end
    if deadline >= now then return 0 end
    local prefix = string.sub(leases, 1, -2)
    if hurried then
      local since = now - (tonumber(call('GET', prefix .. 'g') or 0) or 0)
      if since >= 0 and since < 5 then return 0 end
    end
    local open = prefix .. 'o:' .. holder
    -- One more, because one may be the field without a name.
    local entries = redis.pcall('HRANDFIELD', open, 201, 'WITHVALUES')
    if entries.err then
      call('ZREM', leases, holder)
      return 0
    end
    local ids, lapsed, charges = {}, {}, {}
    for i = 1, #entries, 2 do
      local record, place = entries[i + 1], 1
      if entries[i] ~= '' and #ids < 200 then
        ids[#ids + 1] = entries[i]
        lapsed[#lapsed + 1], lapsed[#lapsed + 2] = entries[i], '1'
      else
        record = ''
      end
      while place <= #record do
        local status, suffix, cost, mark
        status, suffix, cost, mark, place = unpack_bytes('>BI2c0i8i8', record, place)
        if status % 4 == 2 then
          local marks = charges[suffix] or {}
          marks[mark] = (marks[mark] or 0) - cost
          charges[suffix] = marks
        end
      end
    end
    for suffix, marks in pairs(charges) do
      for mark, delta in pairs(marks) do
        -- A counter that is none any more must not keep the others from their due.
        pcall(adjust, prefix .. suffix, string.sub(suffix, 1, 1), mark, delta, now)
      end
    end
    if #ids > 0 then
      call('HDEL', open, unpack(ids))
      -- The node may only have been stopped, and settle them yet.
      call('HSET', prefix .. 'x:' .. holder, unpack(lapsed))
      call('PEXPIRE', prefix .. 'x:' .. holder, DAY)
    end
    if call('HLEN', open) == call('HEXISTS', open, '') then
      call('DEL', open)
      call('ZREM', leases, holder)
    end
    if #ids == 200 then call('SET', prefix .. 'g', now, 'PX', LEASE) end
    return #ids
  end

  return {clock = clock, fill = fill, pour = pour, slide = slide, store = store, add = add, adjust = adjust, reap = reap}
end

