-- Publications, one after the other: the source, the answer of then, the guard, the next offset, the entry, the
-- snapshot, the announcement.
-- KEYS[8…] the answers under the event_ids, of those publications that have one
-- ARGV[8] history_size  [9] history_ttl in ms  [10] '1': the first that has to wait ends it, so that what is stored of
--     them is a prefix; then for each publication
--     entry · digest of the body ('' without event_id) · for how long that is remembered, in ms · what follows:
--     's' in a state channel with a key: key · attempt ('' without version) · number · '1': final
--         · how long the key stays in the snapshot, in ms · snapshot_keys
--         · id of the lease ('' without) · lease_ms · id of the lease that has run out, where this is its event
--     'f' from a source: its name · generation · number
-- → for one: 'ok' epoch offset replaced-lease [why it was not announced] · 'dup' epoch offset
--   · 'conflict' digest epoch offset · 'stale' epoch offset · 'limit' of-what · 'unleased' · 'healed' why
-- → for more: 'all' {as for one, …}

local function publish()
  local entry, digest, remembered, follows = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  at = at + 4
  local answer_key
  if digest ~= '' then
    answer_key = KEYS[answers]
    answers = answers + 1
  end
  local state = follows == 's' or follows == 'sf'
  local key, attempt, number_in_attempt, final, stays, snapshot_keys, lease_id, lease_ms, expired
  if state then
    key, attempt, number_in_attempt, final, stays, snapshot_keys, lease_id, lease_ms, expired =
      unpack(ARGV, at, at + 8)
    at = at + 9
  end
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

  local function failed()
    return spoiled(fault) and heal(fault) or redis.error_reply(fault)
  end

  local source, generation, number_in_generation
  if follows == 'f' or follows == 'sf' then
    source, generation, number_in_generation = ARGV[at], ARGV[at + 1], ARGV[at + 2]
    at = at + 3
    fault = open_sources()
    local highest = write('HGET', sources_key(), source)
    if highest and not above(generation, number_in_generation, highest) then
      return {'dup', epoch, text(offset)}
    end
    if not fault and not highest and (write('HLEN', sources_key()) or 0) > MOST_SOURCES then
      return {'limit', 'sources'}
    end
    if fault then
      return failed()
    end
  end

  local function take_place()
    write('HSET', sources_key(), '', epoch, source, generation .. '|' .. number_in_generation)
  end

  -- It changes nothing in the channel, but its source is past it.
  local function passed(reply)
    if source then
      take_place()
      if fault then
        return failed()
      end
      keep_parts()
      prolong_parts()
    end
    return reply
  end

  if answer_key then
    local answer = redis.pcall('GET', answer_key)
    if type(answer) == 'string' then
      local then_digest, then_epoch, then_offset = string.match(answer, '^(%x+)|([%w_-]+)|(%d+)$')
      local stands = then_epoch and good(then_epoch, tonumber(then_offset))
      if stands and then_digest ~= digest then
        return {'conflict', then_digest, epoch, then_offset}
      elseif stands then
        return passed({'dup', epoch, then_offset})
      end
    end
  end

  local lease, guard, guard_attempt, guard_number, closed
  if state then
    lease = write('HGET', KEYS[6], key)
    if expired ~= '' then
      local id, deadline = string.match(lease or '', '^([^|]*)|(%d+)$')
      if id ~= expired or now < tonumber(deadline) then
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
    if guard_attempt and attempt ~= '' then
      local a, n = tonumber(attempt), tonumber(number_in_attempt)
      if a < guard_attempt or (a == guard_attempt and (closed == '1' or n <= guard_number)) then
        local current = write('HGET', KEYS[3], key)
        return passed({'stale', epoch, current and string.match(current, '^(%d+)|') or '0'})
      end
    end
    if not fault and not there then
      repeat
        local why, count = prune(100)
        fault = fault or why
      until fault or count < 100 or (write('HLEN', KEYS[3]) or 0) < tonumber(snapshot_keys)
      if not fault and (write('HLEN', KEYS[3]) or 0) >= tonumber(snapshot_keys) then
        return {'limit', 'keys'}
      end
    end
    if fault then
      return failed()
    end
  end

  local number = text(offset + 1)
  write('XADD', KEYS[2], 'MAXLEN', ARGV[8], number, 'e', entry)
  if fault and not spoiled(fault) then
    return redis.error_reply(fault) -- nothing was written
  end

  if state then
    write('HSET', KEYS[3], key, number .. '|' .. entry)
    write('ZADD', KEYS[4], text(now + tonumber(stays)), key)
    if expired == '' then
      if attempt ~= '' then
        write('HSET', KEYS[5], key, attempt .. '|' .. number_in_attempt .. '|' .. final)
      elseif guard_attempt and final == '1' then
        write('HSET', KEYS[5], key, text(guard_attempt) .. '|' .. text(guard_number) .. '|1')
      elseif guard and not guard_attempt then
        write('HDEL', KEYS[5], key)
      end
    end
    if lease_id ~= '' and final ~= '1' then
      write('HSET', KEYS[6], key, lease_id .. '|' .. text(now + tonumber(lease_ms)))
    elseif lease then
      write('HDEL', KEYS[6], key)
    end
  end
  if answer_key then
    write('SET', answer_key, digest .. '|' .. epoch .. '|' .. number, 'PX', remembered)
  end
  if source then
    take_place()
  end
  write('PEXPIRE', KEYS[2], ARGV[9])
  if fault then
    return heal(fault)
  end
  if state or source then
    parts = standing()
  end
  prolong_parts()

  -- The counter last: a fault before it would else leave a hole for ever.
  offset = offset + 1
  keep()
  local unheard = announce('\1e' .. epoch .. '|' .. number .. '|' .. entry)
  return {'ok', epoch, number, lease and string.match(lease, '^([^|]*)|') or '', unheard}
end

local reply = publish()
if at > #ARGV and #replies == 0 then
  return reply
end
replies[#replies + 1] = reply
while at <= #ARGV and not (ARGV[10] == '1' and (reply.err or reply[1] == 'limit' or reply[1] == 'healed')) do
  reply = publish()
  replies[#replies + 1] = reply
end
return {'all', replies}
