-- Something that no announcement tells of. KEYS[1] the queue  [2] its state  ARGV[5] what
expect('hash', KEYS[2])
expect('list', KEYS[1])
local number = redis.call('HINCRBY', KEYS[2], 'n', 1)
redis.call('RPUSH', KEYS[1], text(now) .. '|' .. text(number) .. '|' .. ARGV[5])
return {'ok', text(redis.call('LLEN', KEYS[1]))}
