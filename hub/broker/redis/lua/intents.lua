-- Beside each announcement stands what webhooks wait for, written in the same step. A part that comes before all others:
-- they announce by `redis.pcall`, which here is one that looks for announcements.
-- KEYS[the last ones]  {c}:w:<endpoint>, {c}:wl:<endpoint>, … : the queue of each endpoint that waits, and its state
-- An entry: ms|number|what was announced
local outer = redis
local waiting = {}
for i = #KEYS, 2, -2 do
  if not string.match(KEYS[i], '}:wl:[%w_-]+$') then
    break
  end
  waiting[#waiting + 1] = i
end

local function intend(data)
  for _, i in ipairs(waiting) do
    expect('hash', KEYS[i])
    expect('list', KEYS[i - 1])
    local number = outer.call('HINCRBY', KEYS[i], 'n', 1)
    outer.call('RPUSH', KEYS[i - 1], text(now) .. '|' .. text(number) .. '|' .. data)
  end
end

local redis = setmetatable({
  pcall = function(...)
    local verb, _, data = ...
    if (verb == 'PUBLISH' or verb == 'SPUBLISH') and string.match(data, '^\1[ep]') then
      intend(data)
    end
    return outer.pcall(...)
  end,
}, {__index = outer})
