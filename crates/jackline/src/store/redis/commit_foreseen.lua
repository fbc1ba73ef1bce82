-- KEYS: session · ARGV: now, version, data, delta…
--
-- What nearly every write finds, done before the rest of the script is as much as defined: the record is at the version that the caller
-- has loaded, so that its data becomes what the caller has made of it. Without a version, and for any other, the delta is applied.
local line = redis.call('GET', KEYS[1])
if line and ARGV[2] ~= '' and string.sub(line, 1, 3) == 'J1 ' and string.sub(line, 49, 60) == ARGV[2] then
  local now, seen = tonumber(ARGV[1]), tonumber(string.sub(line, 4, 18))
  local idle, meta_bytes = tonumber(string.sub(line, 20, 31)), tonumber(string.sub(line, 62, 67))
  if seen and idle and meta_bytes and now < seen + idle and 68 + meta_bytes <= #line then
    local meta = ARGV[4]
    if meta == '' then
      meta = string.sub(line, 69, 68 + meta_bytes)
    end
    seen = math.max(seen, now)
    redis.call('SET', KEYS[1], string.format('J1 %015.0f%s%012.0f %06.0f ',
      seen, string.sub(line, 19, 48), tonumber(ARGV[2]) + 1, #meta) .. meta .. ARGV[3],
      'PX', string.format('%.0f', seen + idle - now))
    return 'foreseen'
  end
end
