-- Stored events. ARGV[8] after which offset ('' for the newest)  [9] how many
-- → 'ok' epoch offset ancestors first entries
local entries
if ARGV[8] == '' then
  entries = redis.pcall('XREVRANGE', KEYS[2], '+', '-', 'COUNT', ARGV[9])
else
  entries = redis.pcall('XRANGE', KEYS[2], text(tonumber(ARGV[8]) + 1), '+', 'COUNT', ARGV[9])
end
return found_entries(entries)
