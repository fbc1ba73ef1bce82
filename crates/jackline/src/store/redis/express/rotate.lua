-- KEYS: old session, new session, trace of the old one, [index] · ARGV: now, old member, new member, delta…
if redis.call('EXISTS', KEYS[2]) == 1 then
  return { 'conflict' }
end
local now = tonumber(ARGV[1])
local record, reason = live(KEYS[1], KEYS[3], now)
if not record then
  return { reason }
end
local index = KEYS[4]
local score = index and (redis.call('ZSCORE', index, ARGV[2]) or ARGV[1])
local answer, refused = apply(record, now, 4)
if not answer then
  return { refused }
end
-- First, since of all these commands it is the one that Redis refuses when its memory is full.
save(record, KEYS[2], now)
redis.call('DEL', KEYS[1])
leave_trace(KEYS[3], 'replaced', now)
if index then
  redis.call('ZREM', index, ARGV[2])
  enter(index, score, ARGV[3], { ends = record.ends or now, idle = record.idle }, now)
end
return answer
