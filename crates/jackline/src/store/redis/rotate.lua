-- KEYS: old session, new session, trace of the old one, [index] · ARGV: now, old member, new member, delta…
if redis.call('EXISTS', KEYS[2]) == 1 then
  return { 'conflict' }
end
local line = redis.call('GET', KEYS[1])
if not line then
  return { 'gone' }
end
local now = tonumber(ARGV[1])
local record = read(line)
if not record then
  return { 'corrupt' }
end
if now >= idle_deadline(record) then
  return { 'gone' }
end
local index = KEYS[4]
-- Read before anything is written: an index of another type stops here. One that was lost counts the session from now.
local score = index and (redis.call('ZSCORE', index, ARGV[2]) or ARGV[1])
local after, keep, answer = apply(line, record, now, 4)
if not after then
  return { keep }
end
-- First, since of all these commands it is the one that Redis refuses when its memory is full.
redis.call('SET', KEYS[2], after, 'PX', string.format('%.0f', keep))
redis.call('DEL', KEYS[1])
note_replaced(KEYS[3], now)
if index then
  redis.call('ZREM', index, ARGV[2])
  enter(index, score, ARGV[3], record, now)
end
return answer
