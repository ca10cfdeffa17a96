-- Which nodes have subscribers in a channel. KEYS[1] hash: node → ms until when it has; '' → '1' once that was told
-- [the others] who is told, as in intents
-- ARGV[5] a node ('': only looks)  [6] for how long it has, in ms  [7] '1': a change is told in this step
-- [8] what is told where somebody came  [9] where nobody is left  [10] by how many ms the clock was lately set forward
-- → 'tell': there is a change, and it was not told · 'ok' ms until the last node's word ends ('': no node has any)
expect('hash', KEYS[1])
if ARGV[5] ~= '' then
  redis.call('HSET', KEYS[1], ARGV[5], text(now + tonumber(ARGV[6])))
  redis.call('PEXPIRE', KEYS[1], 7 * 86400000)
end
local told, last = false, now
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local ends = (tonumber(all[i + 1]) or 0) + tonumber(ARGV[10])
  if all[i] == '' then
    told = true
  elseif ends > now then
    last = math.max(last, ends)
  else
    redis.call('HDEL', KEYS[1], all[i])
  end
end
local occupied = last > now
if occupied ~= told then
  if ARGV[7] ~= '1' then
    return {'tell'}
  end
  if occupied then
    redis.call('HSET', KEYS[1], '', '1')
    intend(ARGV[8])
  else
    redis.call('DEL', KEYS[1])
    intend(ARGV[9])
  end
end
return {'ok', occupied and text(last - now) or ''}
