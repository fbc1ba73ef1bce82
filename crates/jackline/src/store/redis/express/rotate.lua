-- KEYS: old session, new session, trace and grave of the old one, [index] · ARGV: now, old member, new member, delta…
if redis.call('EXISTS', KEYS[2]) == 1 then
  return { 'conflict' }
end
local now = tonumber(ARGV[1])
local record, reason = live(KEYS[1], KEYS[4], now)
if not record then
  return { reason }
end
local index = KEYS[5]
local score = index and (redis.call('ZSCORE', index, ARGV[2]) or ARGV[1])
local answer, refused = apply(record, now, 4)
if not answer then
  return { refused }
end
-- First, since of all these commands it is the one that Redis refuses when its memory is full.
save(record, KEYS[2], now)
redis.call('DEL', KEYS[1])
bury(KEYS[4], now)
note_replaced(KEYS[3], now)
if index then
  redis.call('ZREM', index, ARGV[2])
  enter(index, score, ARGV[3], { ends = record.ends or now, idle = record.idle }, now)
end
return answer
