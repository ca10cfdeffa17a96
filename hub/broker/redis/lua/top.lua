-- The numbering, kept alive. → 'ok' epoch offset ancestors first
local lowest, fault = first()
if fault then
  heal(fault)
  lowest = 1
end
prolong()
return top(text(lowest))
