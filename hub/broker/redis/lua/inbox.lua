-- A user's read cursor: looked at, or moved. ARGV[8] user  [9] epoch ('' only to look)  [10] offset
-- → 'ok' epoch cursor unread moved · 'conflict' epoch offset
local lowest, fault = first()
local found = redis.pcall('HGET', KEYS[7], ARGV[8])
if fault or (type(found) == 'table' and found.err) then
  heal(fault or found.err)
  found, lowest = nil, 1
end
local cursor = 0
if found then
  local e, o = string.match(found, '^([%w_-]+)|(%d+)$')
  if e and good(e, tonumber(o)) then
    cursor = math.min(tonumber(o), offset)
  end
end
local moved = 0
if ARGV[9] ~= '' then
  local wanted = tonumber(ARGV[10])
  if not good(ARGV[9], wanted) or wanted > offset then
    return {'conflict', epoch, text(offset)}
  end
  if wanted > cursor then
    cursor, moved = wanted, 1
    redis.call('HSET', KEYS[7], ARGV[8], epoch .. '|' .. text(cursor))
    keep_parts()
    prolong_parts()
  end
end
local unread = offset - math.max(cursor, lowest - 1)
if moved == 1 then
  announce('\1a' .. cmsgpack.pack({ARGV[8], epoch, cursor, unread}))
end
return {'ok', epoch, text(cursor), text(unread), moved}
