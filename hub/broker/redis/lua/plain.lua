-- The plain case first, before anything is made for the others: a numbering that is as it was left, and publications
-- that only append, with a key that is in the snapshot and bears no version, guard or lease. It takes as many as come;
-- the first that is anything else changes nothing here, and it and those behind it go the ordinary way (publish.lua,
-- where KEYS, ARGV and answers are told).

local at, answers, replies = 11, 8, {}

do
  local found = redis.pcall('GET', KEYS[1])
  local epoch, top, rest, incarnation, previous, noughts
  if type(found) == 'string' then
    epoch, top, rest, incarnation, previous, noughts =
      string.match(found, '^([%w_-]+)|(%d+)(|([^|]*)|([%w_-]*)|(0*)%d+)$')
  end
  local whole = epoch and #top <= 16 and incarnation == ARGV[1]
  local parts = whole and #noughts
  if whole and parts > 0 then
    whole = parts == redis.call('EXISTS', KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7],
      string.sub(KEYS[1], 1, -2) .. 'o')
  end
  local offset = tonumber(top)
  local keyed, stored = false, {}

  while whole and at <= #ARGV do
    local entry, digest, remembered, follows = unpack(ARGV, at, at + 3)
    if follows ~= '' and follows ~= 's' or digest ~= '' and redis.pcall('GET', KEYS[answers]) then
      break
    end
    local key, attempt, _, final, stays, _, lease_id, _, expired
    if follows == 's' then
      key, attempt, _, final, stays, _, lease_id, _, expired = unpack(ARGV, at + 4, at + 12)
      -- Of two parts that are there, the two in which the key is found: so there are no guards, and no leases.
      if parts ~= 2 or attempt ~= '' or lease_id ~= '' or expired ~= '' then
        break
      end
      local until_ms = redis.pcall('ZSCORE', KEYS[4], key)
      if type(until_ms) ~= 'string' or tonumber(until_ms) <= now or redis.pcall('HEXISTS', KEYS[3], key) ~= 1 then
        break
      end
    end
    local number = text(offset + 1)
    if type(redis.pcall('XADD', KEYS[2], 'MAXLEN', ARGV[8], number, 'e', entry)) == 'table' then
      break -- nothing was written
    end
    if key then
      -- A fault in one of these: the ordinary way finds the entry in the stream, and heals.
      if type(redis.pcall('HSET', KEYS[3], key, number .. '|' .. entry)) == 'table'
        or type(redis.pcall('ZADD', KEYS[4], text(now + tonumber(stays)), key)) == 'table' then
        break
      end
      keyed = true
    end
    if digest ~= '' then
      redis.call('SET', KEYS[answers], digest .. '|' .. epoch .. '|' .. number, 'PX', remembered)
      answers = answers + 1
    end
    at = at + (key and 13 or 4)
    offset = offset + 1
    stored[#stored + 1] = entry
    replies[#stored] = {'ok', epoch, number, ''}
  end

  if #stored > 0 then
    redis.call('PEXPIRE', KEYS[2], ARGV[9])
    if keyed then
      redis.call('PEXPIRE', KEYS[3], ARGV[5])
      redis.call('PEXPIRE', KEYS[4], ARGV[5])
    elseif parts > 0 then
      for _, part in ipairs({KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], string.sub(KEYS[1], 1, -2) .. 'o'}) do
        redis.call('PEXPIRE', part, ARGV[5])
      end
    else
      redis.call('PEXPIRE', KEYS[7], ARGV[5]) -- cursors that a node of 0.1 has put there
    end
    if previous ~= '' then
      redis.call('PEXPIRE', string.sub(KEYS[1], 1, -2) .. 'f', ARGV[5])
    end
    -- The counter last: a fault before it would else leave a hole for ever.
    redis.call('SET', KEYS[1], epoch .. '|' .. text(offset) .. rest, 'PX', ARGV[5])
    for i, entry in ipairs(stored) do
      local heard = redis.pcall(ARGV[6], ARGV[7], '\1e' .. epoch .. '|' .. replies[i][3] .. '|' .. entry)
      replies[i][5] = type(heard) == 'table' and heard.err or nil
    end
    if at > #ARGV then
      return #replies == 1 and replies[1] or {'all', replies}
    end
  end
end
