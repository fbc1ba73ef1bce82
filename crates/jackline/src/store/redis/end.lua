-- KEYS: session, [index] · ARGV: member
local ended = redis.call('DEL', KEYS[1])
if KEYS[2] then
  leave(KEYS[2], ARGV[1])
end
return { ended == 1 and 'ended' or 'absent' }
