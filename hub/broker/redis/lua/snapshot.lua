-- The latest event of each key. → 'ok' epoch offset ancestors first entries
local fault, count
repeat
  fault, count = prune(1000)
until fault or count < 1000
return found_entries(redis.pcall('HVALS', KEYS[3]), fault)
