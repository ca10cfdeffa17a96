-- A node's members as a whole. ARGV[7] 'keep' or 'sweep'  [8] node  [9] for how long, in ms (keep)
-- → keep: 'ok' '1' where the node was known, else '0' · sweep: 'gone' · 'early' ms
local lives = redis.call('HGET', KEYS[2], ARGV[8])
if ARGV[7] == 'keep' then
  redis.call('HSET', KEYS[2], ARGV[8], text(now + tonumber(ARGV[9])))
  redis.call('PEXPIRE', KEYS[1], DAY)
  redis.call('PEXPIRE', KEYS[2], DAY)
  return {'ok', lives and '1' or '0'}
end
if lives_until(ARGV[8]) > now then
  return {'early', text(lives_until(ARGV[8]) - now)}
end
everybody()
redis.call('HDEL', KEYS[2], ARGV[8])
return {'gone'}
