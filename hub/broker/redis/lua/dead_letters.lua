-- Dead letters. KEYS[1] hash: id → letter  KEYS[2] zset: id → ms at which it was kept
-- ARGV[5] verb  [6] id, or the first of a page  [7] letter, or how many  [8] ms  [9] the most that are kept
-- → 'ok' {…} · 'full'
local verb = ARGV[5]
if verb == 'put' then
  if redis.call('HEXISTS', KEYS[1], ARGV[6]) == 1 then
    return {'ok', {'0'}}
  end
  if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[9]) then
    return {'full'}
  end
  redis.call('HSET', KEYS[1], ARGV[6], ARGV[7])
  redis.call('ZADD', KEYS[2], ARGV[8], ARGV[6])
  return {'ok', {'1'}}
elseif verb == 'get' then
  local letter = redis.call('HGET', KEYS[1], ARGV[6])
  return {'ok', letter and {letter} or {}}
elseif verb == 'drop' then
  redis.call('ZREM', KEYS[2], ARGV[6])
  return {'ok', {text(redis.call('HDEL', KEYS[1], ARGV[6]))}}
elseif verb == 'count' then
  return {'ok', {text(redis.call('HLEN', KEYS[1]))}}
end
local ids = redis.call('ZRANGE', KEYS[2], ARGV[6], text(tonumber(ARGV[6]) + tonumber(ARGV[7]) - 1))
local found = {}
for _, id in ipairs(ids) do
  local letter = redis.call('HGET', KEYS[1], id)
  if letter then -- one of the two may have been evicted
    found[#found + 1] = id
    found[#found + 1] = letter
  end
end
return {'ok', found}
