-- The numbering, kept alive. → 'ok' epoch offset previous fork first
local lowest, fault = first()
if fault then
  heal(fault)
  lowest = 1
end
redis.call('PEXPIRE', KEYS[1], ARGV[5])
redis.call('PEXPIRE', KEYS[7], ARGV[5])
return top(text(lowest))
