-- KEYS: session, its grave · ARGV: now, delta…
local now = tonumber(ARGV[1])
local record, reason = live(KEYS[1], KEYS[2], now)
if not record then
  return { reason }
end
local answer, refused = apply(record, now, 2)
if not answer then
  return { refused }
end
save(record, KEYS[1], now)
return answer
