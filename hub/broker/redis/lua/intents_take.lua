-- What waits for an endpoint, for one courier at a time. KEYS[1] the queue  [2] its state: who has it, until when,
-- how often the first was tried, and when it is tried again
-- ARGV[5] who asks ('': only looks)  [6] for how long, in ms  [7] how many at most  [8] '1': though it is not due
-- → 'gone' · 'later' ms how-many · 'ok' tries {entry, …} · 'there' how-many
expect('hash', KEYS[2])
expect('list', KEYS[1])
local count = redis.call('LLEN', KEYS[1])
if count == 0 then
  redis.call('HDEL', KEYS[2], 'who', 'until', 'tries', 'due')
  redis.call('PEXPIRE', KEYS[2], 7 * 86400000) -- the count of entries goes on meanwhile
  return {'gone'}
end
redis.call('PERSIST', KEYS[2])
local who, until_ms, tries, due = unpack(redis.call('HMGET', KEYS[2], 'who', 'until', 'tries', 'due'))
local taken = who and who ~= ARGV[5] and tonumber(until_ms) or 0
local wait = math.max(taken, ARGV[8] ~= '1' and due and tonumber(due) or 0) - now
if wait > 0 then
  return {'later', text(wait), text(count)}
end
if ARGV[5] == '' then
  return {'there', text(count)}
end
redis.call('HSET', KEYS[2], 'who', ARGV[5], 'until', text(now + tonumber(ARGV[6])))
return {'ok', tries or '0', redis.call('LRANGE', KEYS[1], 0, tonumber(ARGV[7]) - 1)}
