-- What the nodes of one hub must agree on. KEYS[1] the ring, kept alive by living nodes  [2] the namespaces
-- ARGV[5] this node's ring  [6] its namespaces  [7] how long the ring stands without a living node, in ms
-- → 'ok' earlier-namespaces · 'ring' the other nodes' ring
-- A key of another type, from a stranger, is none: SET replaces it.
local function read(name)
  local value = redis.pcall('GET', name)
  return type(value) == 'string' and value
end

local ring = read(KEYS[1])
if ring and ring ~= ARGV[5] then
  return {'ring', ring}
end
redis.call('SET', KEYS[1], ARGV[5], 'PX', ARGV[7])
local earlier = read(KEYS[2])
if earlier ~= ARGV[6] then
  redis.call('SET', KEYS[2], ARGV[6])
end
return {'ok', earlier or ''}
