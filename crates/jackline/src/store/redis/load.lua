-- KEYS: session, note that it was replaced · ARGV: now, step
local line = redis.call('GET', KEYS[1])
if not line then
  return { is_replaced(KEYS[2], tonumber(ARGV[1])) and 'replaced' or 'absent' }
end
local now, step = tonumber(ARGV[1]), tonumber(ARGV[2])
local record = read(line)
if not record then
  return { 'corrupt' }
end
if now >= idle_deadline(record) then
  return { 'expired', line }
end
if now >= record.ends or now - record.seen < step then
  return { 'live', line }
end
redis.call('SETRANGE', KEYS[1], 3, seen_digits(now))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', record.idle))
return { 'renewed', line }
