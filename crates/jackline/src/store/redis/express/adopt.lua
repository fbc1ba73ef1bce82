-- KEYS: session, [index, epoch] · ARGV: now, the text that was read, our bookkeeping, when it started, member
--
-- Enters a session that Express has begun, or has logged somebody in to, in our books, if it is still what was read.
local now = tonumber(ARGV[1])
local record = fetch(KEYS[1], now)
if not record or record.text ~= ARGV[2] then
  return { 'changed' }
end
local before = record.book and record.book.index
local kept = members_of(ARGV[3])
local book = cjson.decode(ARGV[3])
if KEYS[2] then
  local epoch = tonumber(redis.call('GET', KEYS[3]) or '0')
  if epoch > math.max(tonumber(ARGV[4]), book.epoch) then
    redis.call('DEL', KEYS[1])
    return { 'revoked' }
  end
  set(kept, 'epoch', whole(epoch))
end
set(kept, 'of', identity_text(record.members))
record.known, record.kept, record.book, record.ends = true, kept, book, book.ends
save(record, KEYS[1], now)
if KEYS[2] then
  enter(KEYS[2], ARGV[4], ARGV[5], record, now)
end
if type(before) == 'string' and SETTINGS.stem .. '-sids:' .. before ~= KEYS[2] then
  leave(SETTINGS.stem .. '-sids:' .. before, ARGV[5])
end
return { 'done' }
