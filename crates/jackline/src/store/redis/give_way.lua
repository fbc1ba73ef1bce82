-- KEYS: session, note that it was replaced, [its index] · ARGV: member, now, [version that it has, or '' if it is not live]
--
-- The second step of a login whose two sessions lie apart: the replaced one ends, whatever it is; or, if its data has moved
-- along, only as long as it is still what was read.
local now = tonumber(ARGV[2])
if ARGV[3] then
  local line = redis.call('GET', KEYS[1])
  local record = line and read(line)
  if line and not record then
    return { 'corrupt' }
  end
  local live = record and now < idle_deadline(record)
  if ARGV[3] ~= (live and string.format('%.0f', record.version) or '') then
    return { 'changed' }
  end
end
-- Not refused when memory is full, and makes room for the note.
local ended = redis.call('DEL', KEYS[1])
note_replaced(KEYS[2], now)
if KEYS[3] then
  leave(KEYS[3], ARGV[1])
end
return { 'done', tostring(ended) }
