-- An item was looked at: take it off, or look again later, unless it was put on anew meanwhile.
-- KEYS[1] as in due_add. ARGV[5] the item  [6] the claim of due_take  [7] in how many ms to look again ('': never)
local score = redis.call('ZSCORE', KEYS[1], ARGV[5])
if not score or tonumber(score) ~= tonumber(ARGV[6]) then
  return {'ok', 0}
end
if ARGV[7] == '' then
  redis.call('ZREM', KEYS[1], ARGV[5])
else
  redis.call('ZADD', KEYS[1], text(now + tonumber(ARGV[7])), ARGV[5])
end
return {'ok', 1}
