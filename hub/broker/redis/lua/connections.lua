-- The connections of a node whose end another one tells should it die.
-- KEYS[1] hash: connection → what is said of it; '' → ms until when the node lives
-- ARGV[5] 'keep'  [6] for how long the node lives, in ms  [7…] connection, what is said of it ('': it is over), …
--   → 'ok' '1' where the node was known, else '0'
-- ARGV[5] 'lost'  [6] by how many ms the clock was lately set forward  [7…] connections whose end was told
--   → 'early' ms · 'ok' {connection, what is said of it, …}; an empty list: none is left
expect('hash', KEYS[1])
local lives = redis.call('HGET', KEYS[1], '')
if ARGV[5] == 'keep' then
  redis.call('HSET', KEYS[1], '', text(now + tonumber(ARGV[6])))
  for i = 7, #ARGV, 2 do
    if ARGV[i + 1] == '' then
      redis.call('HDEL', KEYS[1], ARGV[i])
    else
      redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
    end
  end
  redis.call('PEXPIRE', KEYS[1], 7 * 86400000)
  return {'ok', lives and '1' or '0'}
end
local until_ms = (tonumber(lives or '0') or 0) + tonumber(ARGV[6])
if until_ms > now then
  return {'early', text(until_ms - now)}
end
redis.call('HDEL', KEYS[1], '') -- should it live after all, it finds itself forgotten, and writes all down again
for i = 7, #ARGV do
  redis.call('HDEL', KEYS[1], ARGV[i])
end
local cursor, found = '0', {}
repeat
  local page = redis.call('HSCAN', KEYS[1], cursor, 'COUNT', 200)
  cursor, found = page[1], page[2]
until #found > 0 or cursor == '0'
return {'ok', found}
