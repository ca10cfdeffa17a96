-- One publication: the answer of then, the guard, the next offset, the entry, the snapshot, the announcement.
-- KEYS[8]  the answer under this event_id, where there is one
-- ARGV[8]  the entry            [9] history_size  [10] history_ttl in ms
--     [11] digest of the body ('' without event_id)  [12] for how long it is remembered, in ms
--     [13] 's' in a state channel with a key, else ''
--     [14] key  [15] attempt ('' without version)  [16] number  [17] '1': final
--     [18] how long the key stays in the snapshot, in ms  [19] snapshot_keys
--     [20] id of the lease ('' without)  [21] lease_ms
--     [22] id of the lease that has run out, where this is its event
-- → 'ok' epoch offset replaced-lease · 'dup' epoch offset · 'conflict' · 'stale' epoch offset · 'limit'
--   · 'unleased' · 'healed' why

local state = ARGV[13] == 's'
local key = ARGV[14]
local fault

local function write(...)
  if fault then
    return nil
  end
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err then
    fault = reply.err
    return nil
  end
  return reply
end

if ARGV[11] ~= '' then
  local answer = redis.pcall('GET', KEYS[8])
  if type(answer) == 'string' then
    local digest, then_epoch, then_offset = string.match(answer, '^(%x+)|([%w_-]+)|(%d+)$')
    local stands = then_epoch == epoch or (then_epoch == previous and tonumber(then_offset) <= fork)
    if stands and digest ~= ARGV[11] then
      return {'conflict'}
    elseif stands then
      return {'dup', epoch, then_offset}
    end
  end
end

local lease, guard, guard_attempt, guard_number, closed
if state then
  lease = write('HGET', KEYS[6], key)
  if ARGV[22] and ARGV[22] ~= '' then
    local id, deadline = string.match(lease or '', '^([^|]*)|(%d+)$')
    if id ~= ARGV[22] or now < tonumber(deadline) then
      return {'unleased'}
    end
  end
  guard = write('HGET', KEYS[5], key)
  -- The guard leaves with its key, and a key whose time is over is gone, pruned or not.
  local until_ms = write('ZSCORE', KEYS[4], key)
  local there = until_ms and tonumber(until_ms) > now
  if guard and there then
    local a, n, c = string.match(guard, '^(%d+)|(%d+)|([01])$')
    guard_attempt, guard_number, closed = tonumber(a), tonumber(n), c
  end
  if guard_attempt and ARGV[15] ~= '' then
    local attempt, number = tonumber(ARGV[15]), tonumber(ARGV[16])
    if attempt < guard_attempt
      or (attempt == guard_attempt and (closed == '1' or number <= guard_number)) then
      local current = write('HGET', KEYS[3], key)
      return {'stale', epoch, current and string.match(current, '^(%d+)|') or '0'}
    end
  end
  if not fault and not there then
    repeat
      local why, count = prune(100)
      fault = fault or why
    until fault or count < 100 or (write('HLEN', KEYS[3]) or 0) < tonumber(ARGV[19])
    if not fault and (write('HLEN', KEYS[3]) or 0) >= tonumber(ARGV[19]) then
      return {'limit'}
    end
  end
  if fault then
    if spoiled(fault) then
      return heal(fault)
    end
    return redis.error_reply(fault)
  end
end

local number = text(offset + 1)
write('XADD', KEYS[2], 'MAXLEN', ARGV[9], number, 'e', ARGV[8])
if fault and not spoiled(fault) then
  return redis.error_reply(fault) -- nothing was written
end

if state then
  write('HSET', KEYS[3], key, number .. '|' .. ARGV[8])
  write('ZADD', KEYS[4], text(now + tonumber(ARGV[18])), key)
  if ARGV[22] == nil or ARGV[22] == '' then
    if ARGV[15] ~= '' then
      write('HSET', KEYS[5], key, ARGV[15] .. '|' .. ARGV[16] .. '|' .. ARGV[17])
      write('PEXPIRE', KEYS[5], ARGV[5])
    elseif guard_attempt and ARGV[17] == '1' then
      write('HSET', KEYS[5], key, text(guard_attempt) .. '|' .. text(guard_number) .. '|1')
      write('PEXPIRE', KEYS[5], ARGV[5])
    elseif guard and not guard_attempt then
      write('HDEL', KEYS[5], key)
    end
  end
  if ARGV[20] ~= '' and ARGV[17] ~= '1' then
    write('HSET', KEYS[6], key, ARGV[20] .. '|' .. text(now + tonumber(ARGV[21])))
    write('PEXPIRE', KEYS[6], ARGV[5])
  elseif lease then
    write('HDEL', KEYS[6], key)
  end
  write('PEXPIRE', KEYS[3], ARGV[5])
  write('PEXPIRE', KEYS[4], ARGV[5])
end
if ARGV[11] ~= '' then
  write('SET', KEYS[8], ARGV[11] .. '|' .. epoch .. '|' .. number, 'PX', ARGV[12])
end
write('PEXPIRE', KEYS[2], ARGV[10])
write('PEXPIRE', KEYS[7], ARGV[5])
if fault then
  return heal(fault)
end

-- The counter last: a fault before it would else leave a hole for ever.
offset = offset + 1
keep()
announce('\1e' .. epoch .. '|' .. number .. '|' .. ARGV[8])
return {'ok', epoch, number, lease and string.match(lease, '^([^|]*)|') or ''}
