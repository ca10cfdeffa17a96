-- ARGV[7] user\0name  [8] owner  [9] state
-- → 'ok' · 'conflict'
local member = present(ARGV[7])
if not member or member[OWNER] ~= ARGV[8] then
  return {'conflict'}
end
member[STATE] = ARGV[9]
put(ARGV[7], member)
announce('update', ARGV[7], member)
return {'ok'}
