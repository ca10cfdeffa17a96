-- What became of them. KEYS as in intents_take. ARGV[5] who  [6] how many of the first are through
-- [7] for how long it goes on, in ms ('0': it lets go)  [8] how often the next was tried  [9] when again, in ms from now
-- → 'ok' · 'lost': somebody else has it
if redis.call('HGET', KEYS[2], 'who') ~= ARGV[5] then
  return {'lost'}
end
if ARGV[6] ~= '0' then
  redis.call('LTRIM', KEYS[1], ARGV[6], -1)
end
redis.call('HSET', KEYS[2], 'tries', ARGV[8], 'due', ARGV[9] == '0' and '0' or text(now + tonumber(ARGV[9])))
if ARGV[7] == '0' then
  redis.call('HDEL', KEYS[2], 'who', 'until')
else
  redis.call('HSET', KEYS[2], 'until', text(now + tonumber(ARGV[7])))
end
return {'ok'}
