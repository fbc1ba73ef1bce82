-- KEYS: session, its trace, its grave, [index] · ARGV: member, now, [weight of the trace to leave, how long it is kept]
local now = tonumber(ARGV[2])
local there = weight_of(KEYS[2], now)
local buried = is_buried(KEYS[3], now)
local ended = redis.call('DEL', KEYS[1])
if KEYS[4] then
  leave(KEYS[4], ARGV[1])
end
if ended == 0 or buried then
  return { trace(there) }
end
bury(KEYS[3], now)
if ARGV[3] then
  add_trace(KEYS[2], there, tonumber(ARGV[3]), tonumber(ARGV[4]), now)
end
return { 'removed' }
