-- Whether a lease has run out. KEYS[1] leases  [2] snapshot. ARGV[5] key  [6] id of the lease
-- → 'gone' · 'early' ms · 'due' offset|entry of the key's latest event, the deadline
local lease = redis.call('HGET', KEYS[1], ARGV[5])
local id, deadline = string.match(lease or '', '^([^|]*)|(%d+)$')
if id ~= ARGV[6] then
  return {'gone'}
end
if tonumber(deadline) > now then
  return {'early', text(tonumber(deadline) - now)}
end
return {'due', redis.call('HGET', KEYS[2], ARGV[5]) or '', deadline}
