-- Keys whose time in the snapshot is over. At most `limit` of them, so that no script takes long.
local function prune(limit)
  local gone = redis.pcall('ZRANGEBYSCORE', KEYS[4], '-inf', now, 'LIMIT', 0, limit)
  if gone.err then
    return gone.err
  end
  if #gone > 0 then
    redis.call('ZREM', KEYS[4], unpack(gone))
    for _, key in ipairs({KEYS[3], KEYS[5], KEYS[6]}) do
      local done = redis.pcall('HDEL', key, unpack(gone))
      if type(done) == 'table' then
        return done.err
      end
    end
    if standing() ~= parts then
      pcall(keep_parts) -- where the memory is full, a part that has ended is taken for a lost one: told once too often
    end
  end
  return nil, #gone
end
