-- Standing revocations. KEYS[1] zset: entry → Unix seconds until which it stands
-- ARGV[5] entry ('' only to list)  [6] until
-- → 'ok' {entry, until, …}
local LONGEST = 10 * 366 * 86400000 -- what a key's expiry can be, and no token lives longer
expect('zset', KEYS[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now / 1000)
if ARGV[5] ~= '' then
  redis.call('ZADD', KEYS[1], 'GT', ARGV[6], ARGV[5]) -- the later of two moments stands
  local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
  redis.call('PEXPIRE', KEYS[1], text(math.min(LONGEST, math.max(1, tonumber(last) * 1000 - now + 60000))))
  return {'ok', {}}
end
return {'ok', redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')}
