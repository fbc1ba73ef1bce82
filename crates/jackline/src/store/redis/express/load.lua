-- KEYS: session, its trace, its grave · ARGV: now, step
local now, step = tonumber(ARGV[1]), tonumber(ARGV[2])
if is_buried(KEYS[3], now) then
  redis.call('DEL', KEYS[1])
end
local record, reason = fetch(KEYS[1], now)
if not record then
  return { reason == 'gone' and trace(weight_of(KEYS[2], now)) or reason }
end
if not record.known then
  return { 'strange', record.text }
end
if revoked(record) then
  redis.call('DEL', KEYS[1])
  return { 'absent' }
end
local line = line_of(record)
if now >= idle_deadline(record) then
  return { 'expired', line }
end
-- A key without a TTL, or with one past our idle limit, gets the idle limit at its first use.
local unbounded = not record.untouched and (record.left < 0 or record.left > record.idle)
if now >= record.ends or (now - record.seen < step and not unbounded) then
  return { 'live', line }
end
record.seen = now
save(record, KEYS[1], now)
return { 'renewed', line }
