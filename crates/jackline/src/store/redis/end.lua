-- KEYS: session, its trace, [index] · ARGV: member, now, [weight of the trace to leave, how long it is kept]
local now = tonumber(ARGV[2])
local there = weight_of(KEYS[2], now)
-- First, since it is not refused when memory is full, and makes room for the trace.
local ended = redis.call('DEL', KEYS[1])
if KEYS[3] then
  leave(KEYS[3], ARGV[1])
end
if ended == 0 then
  return { trace(there) }
end
if ARGV[3] then
  add_trace(KEYS[2], there, tonumber(ARGV[3]), tonumber(ARGV[4]), now)
end
return { 'removed' }
