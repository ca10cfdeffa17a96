-- What every script begins with.
-- ARGV[1]  the incarnation of this server, as the caller's connection read it
-- ARGV[2]  '1' where it was read just now: only then may a numbering fork
-- ARGV[3]  the last moment (ms by this server's clock) at which the caller still waits; '0': any.
--          A server that slept must not carry out what its caller has been refused long ago.
-- ARGV[4]  the name of a new epoch, should one be needed

local function text(number)
  return string.format('%.0f', number)
end

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
if ARGV[3] ~= '0' and now > tonumber(ARGV[3]) then
  return {'late'}
end

-- Keys of another type, from a stranger, would stop what is done with them for good: all of `...` are gone then.
local function expect(kind, ...)
  for _, name in ipairs({...}) do
    local found = redis.call('TYPE', name).ok
    if found ~= kind and found ~= 'none' then
      redis.call('DEL', ...)
      return
    end
  end
end
