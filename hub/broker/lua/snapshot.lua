-- The latest event of each key. → 'ok' epoch offset previous fork first entries
local fault, count
repeat
  fault, count = prune(1000)
until fault or count < 1000
local entries = redis.pcall('HVALS', KEYS[3])
local lowest
if not fault then
  lowest, fault = first()
end
fault = fault or entries.err
if fault then
  heal(fault)
  return top('1', {})
end
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return top(text(lowest), entries)
