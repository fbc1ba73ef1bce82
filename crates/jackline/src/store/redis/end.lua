-- KEYS: session, note that it was replaced, [index] · ARGV: member, now
local ended = redis.call('DEL', KEYS[1])
if KEYS[3] then
  leave(KEYS[3], ARGV[1])
end
if ended == 1 then
  return { 'removed' }
end
return { is_replaced(KEYS[2], tonumber(ARGV[2])) and 'replaced' or 'absent' }
