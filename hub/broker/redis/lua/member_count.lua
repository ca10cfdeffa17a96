-- → 'ok' members users
local members, users, seen = 0, 0, {}
for _, entry in ipairs(everybody()) do
  local user = string.match(entry[1], '^(.-)%z')
  members = members + 1
  if not seen[user] then
    seen[user] = true
    users = users + 1
  end
end
return {'ok', members, users}
