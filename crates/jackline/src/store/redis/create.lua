-- KEYS: session, [index] · ARGV: line, member, started
local record = read(ARGV[1])
if KEYS[2] then
  -- A key of another type stops here, before anything is written.
  redis.call('ZCARD', KEYS[2])
end
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', string.format('%.0f', record.idle)) then
  return { 'conflict' }
end
if KEYS[2] then
  enter(KEYS[2], ARGV[3], ARGV[2], record, record.seen)
end
return { 'done' }
