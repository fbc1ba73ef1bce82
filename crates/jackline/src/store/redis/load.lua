-- KEYS: session, [epoch] · ARGV: now, step
--
-- Goes on behind load_live.lua, with the line that is there. For a login, which asks for the epoch too, answers both.
--
-- The trace is no key, though it lies beside one: while a slot of a cluster moves, a script is put off of which one key is
-- there and another is not. Its name follows from the session's, as keys.rs makes them.
local function found()
  if not line then
    local its_trace = string.gsub(KEYS[1], ':{', '-trace:{', 1)
    return { trace(weight_of(its_trace, tonumber(ARGV[1]))) }
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
    return line
  end
  redis.call('SETRANGE', KEYS[1], 3, seen_digits(now))
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', record.idle))
  return { 'renewed', line }
end

if KEYS[2] then
  local epoch = redis.call('GET', KEYS[2])
  return { found(), epoch or '0' }
end
return found()
