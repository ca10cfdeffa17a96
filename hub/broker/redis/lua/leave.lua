-- ARGV[7] user\0name  [8] owner  [9] grace in ms, or 'due': the grace is said to be over,
--     or 'ghost': nobody knows of it
-- → 'ok' · 'gone' · 'early' ms
local member = present(ARGV[7])
if not member or member[OWNER] ~= ARGV[8] then
  return {'gone'}
end
if ARGV[9] == 'due' then
  return member[LEAVES] > 0 and {'early', text(member[LEAVES] + skipped - now)} or {'gone'}
end
if ARGV[9] == 'ghost' then
  if member[LEAVES] == 0 then -- else it is leaving by itself
    remove(ARGV[7], member)
  end
elseif tonumber(ARGV[9]) <= 0 then
  remove(ARGV[7], member)
else
  member[LEAVES] = now + tonumber(ARGV[9])
  put(ARGV[7], member)
end
return {'ok'}
