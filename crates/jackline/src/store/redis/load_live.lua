-- KEYS: session, [epoch] · ARGV: now, step
--
-- What nearly every read finds, answered before the rest of the script is as much as defined: a session that lives, by its line alone if
-- it is not to be renewed. Whoever reads that line sees whether it is one.
local line = redis.call('GET', KEYS[1])
if line and not KEYS[2] then
  local now, seen = tonumber(ARGV[1]), tonumber(string.sub(line, 4, 18))
  local idle, ends = tonumber(string.sub(line, 20, 31)), tonumber(string.sub(line, 33, 47))
  if seen and idle and ends and now < seen + idle and now < ends then
    if now - seen < tonumber(ARGV[2]) then
      return line
    end
    local meta_bytes = tonumber(string.sub(line, 62, 67))
    if string.sub(line, 1, 3) == 'J1 ' and meta_bytes and 68 + meta_bytes <= #line then
      redis.call('SETRANGE', KEYS[1], 3, string.format('%015.0f', now))
      redis.call('PEXPIRE', KEYS[1], string.format('%.0f', idle))
      return { 'renewed', line }
    end
  end
end
