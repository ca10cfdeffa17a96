-- Hand out what is due. It comes back after the visibility time-out unless it is reported as done.
-- KEYS[1] as in due_add. ARGV[5] the time-out in ms  [6] how many at most
-- → 'ok' claim {item, …}
expect('zset', KEYS[1])
local items = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[6])
local claim = text(now + tonumber(ARGV[5]))
for _, item in ipairs(items) do
  redis.call('ZADD', KEYS[1], claim, item)
end
return {'ok', claim, items}
