-- Stored events. ARGV[8] after which offset ('' for the newest)  [9] how many
-- → 'ok' epoch offset previous fork first entries
local entries
if ARGV[8] == '' then
  entries = redis.pcall('XREVRANGE', KEYS[2], '+', '-', 'COUNT', ARGV[9])
else
  entries = redis.pcall('XRANGE', KEYS[2], text(tonumber(ARGV[8]) + 1), '+', 'COUNT', ARGV[9])
end
local lowest, fault = first()
fault = fault or entries.err
if fault then
  heal(fault)
  return top('1', {})
end
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return top(text(lowest), entries)
