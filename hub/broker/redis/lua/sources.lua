-- How far sources have handed on: a hash beside the numbering, name → generation|number, and '' → the epoch in which
-- it was written last. It is one of the numbering's parts, so its loss is noticed.
local MOST_SOURCES = 1024
local sources_are_open

-- Before the first look: those of an earlier numbering are gone with it.
local function open_sources()
  if sources_are_open then
    return nil
  end
  local mark = redis.pcall('HGET', sources_key(), '')
  if type(mark) == 'table' then
    return mark.err
  end
  if mark and not good(mark, 0) then
    redis.call('DEL', sources_key())
  end
  sources_are_open = true
  return nil
end

local function above(generation, number, highest)
  local g, n = string.match(highest, '^(%d+)|(%d+)$')
  g, n, generation, number = tonumber(g), tonumber(n), tonumber(generation), tonumber(number)
  return generation > g or (generation == g and number > n)
end
