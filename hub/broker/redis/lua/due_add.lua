-- Put something on a due-list, or move it. KEYS[1] zset: item → ms when it is to be looked at
-- ARGV[5] in how many ms  [6] the item  [7] an item that it replaces ('': none)
expect('zset', KEYS[1])
redis.call('ZADD', KEYS[1], text(now + tonumber(ARGV[5])), ARGV[6])
if ARGV[7] ~= '' then
  redis.call('ZREM', KEYS[1], ARGV[7])
end
return {'ok'}
