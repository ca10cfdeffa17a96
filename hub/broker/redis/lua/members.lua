-- Who is in a channel. KEYS[1] hash: user\0name → MessagePack {owner, node, number of the entry, named, info, state,
-- ms when it leaves (0: it stays)}  [2] hash: node → ms until when its members are present
-- ARGV[5] the verb of announcements  [6] where they go  [the last] by how many ms the clock was lately set forward:
-- deadlines from before it get them
local OWNER, NODE, NUMBER, NAMED, INFO, STATE, LEAVES = 1, 2, 3, 4, 5, 6, 7
local DAY = 86400000
local skipped = tonumber(ARGV[#ARGV])

expect('hash', KEYS[1], KEYS[2]) -- where they are gone, everybody enters again with the next sign of life

local function decode(raw)
  if not raw then
    return nil
  end
  local fine, member = pcall(cmsgpack.unpack, raw)
  local whole = fine and type(member) == 'table' and type(member[OWNER]) == 'string'
    and type(member[NODE]) == 'string' and type(member[NUMBER]) == 'number' and type(member[LEAVES]) == 'number'
  return whole and member or nil
end

-- Until when a node's members are present.
local function lives_until(node)
  return tonumber(redis.call('HGET', KEYS[2], node) or '0') or 0
end

local function announce(change, field, member)
  local user, name = string.match(field, '^(.-)%z(.*)$')
  -- Refused, it is missed by those who listen, as any announcement may be: what it tells of is done.
  redis.pcall(ARGV[5], ARGV[6], '\1p' .. cmsgpack.pack(
    {change, user, name, member[NAMED], member[OWNER], member[INFO], member[STATE]}))
end

local function put(field, member)
  redis.call('HSET', KEYS[1], field, cmsgpack.pack(member))
  redis.call('PEXPIRE', KEYS[1], DAY)
  redis.call('PEXPIRE', KEYS[2], DAY)
end

local function remove(field, member)
  redis.call('HDEL', KEYS[1], field)
  announce('leave', field, member)
end

local function left(member)
  return member[LEAVES] > 0 and member[LEAVES] + skipped <= now
end

-- The member of a field, unless its leave is due, which then happens now.
local function present(field)
  local member = decode(redis.call('HGET', KEYS[1], field))
  if member and left(member) then
    remove(field, member)
    return nil
  end
  return member
end

-- Every member, after those have left who should have: their grace is over, or their node is dead.
local function everybody()
  local found, dead = {}, {}
  local all = redis.call('HGETALL', KEYS[1])
  for i = 1, #all, 2 do
    local member = string.find(all[i], '%z') and decode(all[i + 1])
    if not member then
      redis.call('HDEL', KEYS[1], all[i])
    else
      local node = member[NODE]
      if dead[node] == nil then
        dead[node] = lives_until(node) + skipped <= now
      end
      if left(member) or (dead[node] and member[LEAVES] == 0) then
        remove(all[i], member)
      else
        found[#found + 1] = {all[i], member}
      end
    end
  end
  return found
end
