-- The nodes that live. KEYS[1] hash: node → deadline|info
-- ARGV[5] 'put' 'drop' or 'list'  [6] node  [7] info  [8] ttl in ms
-- → 'ok' {node, info, …}
expect('hash', KEYS[1])
if ARGV[5] == 'put' then
  redis.call('HSET', KEYS[1], ARGV[6], text(now + tonumber(ARGV[8])) .. '|' .. ARGV[7])
elseif ARGV[5] == 'drop' then
  redis.call('HDEL', KEYS[1], ARGV[6])
end
local alive = {}
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local deadline, info = string.match(all[i + 1], '^(%d+)|(.*)$')
  if deadline and tonumber(deadline) > now then
    alive[#alive + 1] = all[i]
    alive[#alive + 1] = info
  else
    redis.call('HDEL', KEYS[1], all[i])
  end
end
return {'ok', alive}
