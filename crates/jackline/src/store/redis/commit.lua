-- KEYS: session · ARGV: now, version, data, delta…
--
-- Goes on behind commit_foreseen.lua, with the line that is there.
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
local after, keep, answer = apply(line, record, now, 4)
if not after then
  return { keep }
end
redis.call('SET', KEYS[1], after, 'PX', string.format('%.0f', keep))
return answer
