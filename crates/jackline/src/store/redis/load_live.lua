-- KEYS: session, [epoch] · ARGV: now, step
--
-- What nearly every read finds, answered before the rest of the script is as much as defined: a session that lives and is not to be
-- renewed, by its line alone. Whoever reads that line sees whether it is one.
local line = redis.call('GET', KEYS[1])
if line and not KEYS[2] then
  local now, seen = tonumber(ARGV[1]), tonumber(string.sub(line, 4, 18))
  local idle, ends = tonumber(string.sub(line, 20, 31)), tonumber(string.sub(line, 33, 47))
  if seen and idle and ends and now < seen + idle and now < ends and now - seen < tonumber(ARGV[2]) then
    return line
  end
end
