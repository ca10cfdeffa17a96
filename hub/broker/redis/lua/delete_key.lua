-- A key and all stored events of it go, with the history before the last of them; one event says so.
-- ARGV[8] key  [9] the entry of that event  [10] history_size  [11] history_ttl in ms  [12] the offset of the key's
--     last event and  [13] the epoch in which it was found, where the key has left the snapshot ('' where nobody looked)
-- → 'ok' epoch offset · 'none' · 'healed' why
local key = ARGV[8]
local fault

local function try(...)
  if fault then
    return nil
  end
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err then
    fault = reply.err
    return nil
  end
  return reply
end

local held = try('HGET', KEYS[3], key)
local last = held and tonumber(string.match(held, '^(%d+)|'))
if not last and ARGV[13] == epoch then
  last = tonumber(ARGV[12])
end
if not fault and not last then
  return {'none'}
end

local number = text(offset + 1)
try('XADD', KEYS[2], 'MAXLEN', ARGV[10], number, 'e', ARGV[9])
if fault and not spoiled(fault) then
  return redis.error_reply(fault) -- nothing was written
end
try('XTRIM', KEYS[2], 'MINID', text(last + 1))
try('ZREM', KEYS[4], key)
for _, part in ipairs({KEYS[3], KEYS[5], KEYS[6]}) do
  try('HDEL', part, key)
end
try('PEXPIRE', KEYS[2], ARGV[11])
if fault then
  return heal(fault)
end
parts = standing()
prolong_parts()
offset = offset + 1
keep()
announce('\1e' .. epoch .. '|' .. number .. '|' .. ARGV[9])
announce('\1rkey')
return {'ok', epoch, number}
