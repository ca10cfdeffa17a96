-- ARGV[7] user\0name  [8] owner  [9] node  [10] '1': named  [11] info ('': none)  [12] state ('': none)
--     [13] the limit of members  [14] how long the node's members are present at least, in ms
--     [15] '1': only where it is not present
-- → 'ok' '1' where the node was known, else '0' · 'limit'
local member = present(ARGV[7])
local lives = redis.call('HGET', KEYS[2], ARGV[9])
local info, state = ARGV[11] ~= '' and ARGV[11], ARGV[12] ~= '' and ARGV[12]
local change
if not member then
  if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[13]) and #everybody() >= tonumber(ARGV[13]) then
    return {'limit'}
  end
  if redis.call('EXISTS', KEYS[1]) == 0 then
    -- The first, or what was there was lost alone (an eviction). Who else has members there learns it by being
    -- unknown, and enters them again; the first of them would else hide the loss from the others.
    redis.call('DEL', KEYS[2])
  end
  change = 'join'
  local entries = (tonumber(redis.call('HGET', KEYS[2], ':entries') or '0') or 0) + 1
  redis.call('HSET', KEYS[2], ':entries', text(entries))
  member = {ARGV[8], ARGV[9], entries, ARGV[10] == '1', info, state, 0}
elseif ARGV[15] == '1' then
  return {'ok', lives and '1' or '0'}
else
  state = state or member[STATE]
  if info ~= member[INFO] or state ~= member[STATE] then
    change = 'update'
  end
  member = {ARGV[8], ARGV[9], member[NUMBER], ARGV[10] == '1', info, state, 0}
end
redis.call('HSET', KEYS[2], ARGV[9], text(math.max(lives_until(ARGV[9]), now + tonumber(ARGV[14]))))
put(ARGV[7], member)
if change then
  announce(change, ARGV[7], member)
end
return {'ok', lives and '1' or '0'}
