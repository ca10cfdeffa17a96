-- A node's members as a whole. ARGV[7] 'keep', 'list' or 'sweep'  [8] node  [9] for how long, in ms (keep)
-- → keep: 'ok' '1' where the node and members were known, else '0' · list: 'ok' {user\0name, owner, …}
--   · sweep: 'gone' · 'early' ms
local lives = redis.call('HGET', KEYS[2], ARGV[8])
if ARGV[7] == 'keep' then
  redis.call('HSET', KEYS[2], ARGV[8], text(now + tonumber(ARGV[9])))
  redis.call('PEXPIRE', KEYS[2], DAY)
  return {'ok', lives and redis.call('PEXPIRE', KEYS[1], DAY) == 1 and '1' or '0'}
end
if ARGV[7] == 'list' then
  local found = {}
  for _, entry in ipairs(everybody()) do
    local member = entry[2]
    if member[NODE] == ARGV[8] and member[LEAVES] == 0 then
      found[#found + 1] = entry[1]
      found[#found + 1] = member[OWNER]
    end
  end
  return {'ok', found}
end
if lives_until(ARGV[8]) + skipped > now then
  return {'early', text(lives_until(ARGV[8]) + skipped - now)}
end
everybody()
redis.call('HDEL', KEYS[2], ARGV[8])
return {'gone'}
