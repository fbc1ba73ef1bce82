-- KEYS: session, [index] · ARGV: now, text, our bookkeeping, idle limit, started, member
local now = tonumber(ARGV[1])
if KEYS[2] then
  -- A key of another type stops here, before anything is written.
  redis.call('ZCARD', KEYS[2])
end
if redis.call('EXISTS', KEYS[1]) == 1 then
  return { 'conflict' }
end
local record = fresh(ARGV[2], ARGV[3], tonumber(ARGV[4]), now)
save(record, KEYS[1], now)
if KEYS[2] then
  enter(KEYS[2], ARGV[5], ARGV[6], record, now)
end
return { 'done' }
