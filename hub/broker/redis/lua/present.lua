-- → 'ok' {{number, user\0name, owner, named, info, state}, …}
local list = {}
for i, entry in ipairs(everybody()) do
  local member = entry[2]
  list[i] = {member[NUMBER], entry[1], member[OWNER], member[NAMED] and 1 or 0,
    member[INFO] or '', member[STATE] or ''}
end
return {'ok', list}
