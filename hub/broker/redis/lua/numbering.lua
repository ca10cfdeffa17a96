-- The numbering of one channel: opened, forked or begun anew.
-- KEYS[1] numbering  [2] stream  [3] snapshot  [4] its expiries  [5] guards  [6] leases  [7] cursors
-- ARGV[5] meta_ttl in ms  [6] the verb of announcements  [7] where they go

local REMEMBERED = 16 -- ancestors of a numbering
local EMPTY_MS = 300000 -- base.EMPTY_S

local epoch, offset, incarnation, previous, fork
local chain -- the ancestors, once they were looked at

local function sources_key()
  return string.sub(KEYS[1], 1, -2) .. 'o'
end

-- The ancestors: the epoch that they are of|epoch:offset at its fork|…, newest first.
local function ancestors_key()
  return string.sub(KEYS[1], 1, -2) .. 'f'
end

-- The epoch that was deleted for this one. It stands as the previous one too, whose fork is at 0.
local function deleted_key()
  return string.sub(KEYS[1], 1, -2) .. 'd'
end

-- Parts are the keys that live as long as the numbering: one that is missing was taken by somebody (an evicting
-- server takes single keys). How many there are stands in the numbering, as noughts before the last number: what does
-- not know of it reads the same number, and writes it without them.
local PARTS = {KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], sources_key()}
local parts

local function standing()
  return redis.call('EXISTS', unpack(PARTS))
end

-- What is refused here (a user without the right to publish on the channel) is missed by those who listen, as any
-- announcement may be. The step that it tells of is done, and stays done.
local function announce(data)
  local reply = redis.pcall(ARGV[6], ARGV[7], data)
  return type(reply) == 'table' and reply.err or nil
end

-- For how long it stays unused, in ms. One under which nothing was ever published is worth little: who looks at names
-- that nobody publishes to must not fill the memory.
local function life()
  if offset == 0 and previous == '' and parts == 0 then
    return text(math.min(tonumber(ARGV[5]), EMPTY_MS))
  end
  return ARGV[5]
end

local function keep()
  redis.call('SET', KEYS[1], epoch .. '|' .. text(offset) .. '|' .. ARGV[1] .. '|' .. previous .. '|'
    .. string.rep('0', parts) .. text(fork), 'PX', life())
end

-- As `keep`, where a part may have come or gone.
local function keep_parts()
  parts = standing()
  keep()
end

local function prolong_parts()
  if parts > 0 then
    for _, part in ipairs(PARTS) do
      redis.call('PEXPIRE', part, ARGV[5])
    end
  else
    redis.call('PEXPIRE', KEYS[7], ARGV[5]) -- cursors that a node of 0.1 has put there
  end
  if previous ~= '' then
    redis.call('PEXPIRE', ancestors_key(), ARGV[5]) -- without them the newest still counts, so they are no part
    if fork == 0 then
      redis.call('PEXPIRE', deleted_key(), ARGV[5])
    end
  end
end

-- It was used: the numbering, and what lives as long, stay for their time.
local function prolong()
  redis.call('PEXPIRE', KEYS[1], life())
  prolong_parts()
end

-- A numbering from nothing. What an older one left would only spoil it.
local function begin()
  epoch, offset, previous, fork, parts, chain = ARGV[4], 0, '', 0, 0, nil
  keep() -- first: where the memory is full, this fails, and nothing was changed
  redis.call('DEL', KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], sources_key(), ancestors_key())
end

-- The numberings that this one came from, newest first: {epoch, offset at the fork, …}. The newest stands in the
-- numbering itself, where nodes of 0.1 look for it; where one of these forks, the rest is that of the epoch before.
local function ancestors()
  if chain then
    return chain
  end
  chain = {}
  if previous == '' then
    return chain
  end
  local deleted = fork == 0 and redis.pcall('GET', deleted_key()) == previous
  chain = {previous, deleted and '-1' or text(fork)} -- nothing is good that was said of what was deleted
  local found = redis.pcall('GET', ancestors_key())
  local owner, rest = string.match(type(found) == 'string' and found or '', '^([%w_-]+)(.*)$')
  if owner == epoch or owner == previous then
    for e, o in string.gmatch(rest, '|([%w_-]+):(%d+)') do
      if e ~= previous and #chain < 2 * REMEMBERED then
        chain[#chain + 1] = e
        chain[#chain + 1] = text(math.min(tonumber(o), fork))
      end
    end
  end
  return chain
end

-- Whether what was said of offset `o` in epoch `e` holds in this numbering: `protocol.recovery.common`.
local function good(e, o)
  if e == epoch then
    return true
  end
  local known = ancestors()
  for i = 1, #known, 2 do
    if known[i] == e then
      return o <= tonumber(known[i + 1])
    end
  end
  return false
end

-- Another server process, or other data in it: it may lack what the one before had given out.
local function branch()
  local line = {ARGV[4], epoch .. ':' .. text(offset)}
  local known = ancestors()
  for i = 1, math.min(#known, 2 * (REMEMBERED - 1)), 2 do
    line[#line + 1] = known[i] .. ':' .. known[i + 1]
  end
  previous, fork, epoch, chain = epoch, offset, ARGV[4], nil
  keep() -- first: where the memory is full, this fails, and nothing was changed
  redis.call('SET', ancestors_key(), table.concat(line, '|'), 'PX', ARGV[5])
end

-- Sources are past what they were, under whatever name the numbering goes on.
local function name_sources()
  if redis.call('EXISTS', sources_key()) == 1 then
    redis.pcall('HSET', sources_key(), '', epoch)
  end
end

-- Parts are gone that nobody took away in order. What was said under this epoch can't be relied on, so another one
-- begins, at the same offset, with what is still whole: a snapshot and its expiries are nothing without each other.
local function lapse()
  redis.call('DEL', ancestors_key())
  if redis.call('EXISTS', KEYS[3], KEYS[4]) < 2 then
    redis.call('DEL', KEYS[3], KEYS[4], KEYS[5], KEYS[6])
  end
  epoch, previous, fork, chain = ARGV[4], '', 0, nil
  keep_parts()
  name_sources()
  announce('\1rparts')
end

-- Stored data that can't be worked with (a key of another type, a stream ahead of its numbering):
-- the only way out that gives no offset twice is a new epoch.
local function heal(why)
  redis.call('DEL', unpack(KEYS))
  begin()
  announce('\1r')
  return {'healed', why, epoch}
end

-- A key of another type, which heals; anything else (memory, rights, a replica) only passes by.
local function spoiled(fault)
  return string.find(fault, 'WRONGTYPE', 1, true) or string.find(fault, 'equal or smaller', 1, true)
end

do
  local found = redis.pcall('GET', KEYS[1])
  local o, f
  if type(found) == 'string' then
    epoch, o, incarnation, previous, f = string.match(found, '^([%w_-]+)|(%d+)|([^|]*)|([%w_-]*)|(%d+)$')
    if epoch and #o > 16 then
      epoch = nil -- no number that was counted here
    end
  elseif type(found) == 'table' and found.err and not spoiled(found.err) then
    return redis.error_reply(found.err)
  end
  if not epoch then
    begin()
    if found then
      announce('\1r')
    end
  else
    offset, fork, parts = tonumber(o), tonumber(f), #string.match(f, '^(0*)%d')
    if incarnation ~= ARGV[1] and ARGV[2] ~= '1' then
      return {'incarnation'}
    end
    if parts > 0 and standing() < parts then
      lapse()
    elseif incarnation ~= ARGV[1] then
      branch()
      name_sources()
    end
  end
end

-- The oldest stored offset: the stream holds a run without holes that ends at the top.
local function first()
  local stored = redis.pcall('XLEN', KEYS[2])
  if type(stored) == 'table' then
    return nil, stored.err
  end
  return offset + 1 - math.min(stored, offset)
end

local function top(...)
  return {'ok', epoch, text(offset), ancestors(), ...}
end

-- The answer of a read: where the channel stands, and what was found; or nothing, in a new epoch.
local function found_entries(entries, fault)
  local lowest, why = first()
  fault = fault or why or entries.err
  if fault then
    heal(fault)
    return top('1', {})
  end
  prolong()
  return top(text(lowest), entries)
end
