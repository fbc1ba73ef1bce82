-- KEYS: session, its trace, [its index] · ARGV: member, now, [version that it has, or '' if it is not live]
--
-- The second step of a login whose two sessions lie apart: the replaced one ends, whatever it is; or, if a version is given,
-- only as long as it is still that. Says what it was, if it was live.
local now = tonumber(ARGV[2])
local line = redis.call('GET', KEYS[1])
local record = line and read(line)
local live = record and now < idle_deadline(record)
if ARGV[3] then
  if line and not record then
    return { 'corrupt' }
  end
  if ARGV[3] ~= (live and string.format('%.0f', record.version) or '') then
    return { 'changed' }
  end
end
-- Not refused when memory is full, and makes room for the trace.
redis.call('DEL', KEYS[1])
note_replaced(KEYS[2], now)
if KEYS[3] then
  leave(KEYS[3], ARGV[1])
end
return { 'done', live and line or '' }
