-- KEYS: session · ARGV: now, delta…
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
local after, keep, answer = apply(line, record, now, 2)
if not after then
  return { keep }
end
redis.call('SET', KEYS[1], after, 'PX', string.format('%.0f', keep))
return answer
