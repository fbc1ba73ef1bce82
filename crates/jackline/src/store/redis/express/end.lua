-- KEYS: session, trace, [index] · ARGV: member, now
local now = tonumber(ARGV[2])
local trace = trace_of(KEYS[2], now)
local ended = redis.call('DEL', KEYS[1])
if KEYS[3] then
  leave(KEYS[3], ARGV[1])
end
if trace then
  return { trace == 'replaced' and 'replaced' or 'absent' }
end
if ended == 1 then
  -- Refused when memory is full, except after something was deleted.
  leave_trace(KEYS[2], 'ended', now)
  return { 'removed' }
end
return { 'absent' }
