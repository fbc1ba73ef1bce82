-- KEYS: a name of the server to look at; it is not read
-- ARGV: cursor, pattern, how many names to walk past
--
-- One step of a walk over all names. Says where to go on, how many sessions there were, and how many of them never run out.
local page = redis.call('SCAN', ARGV[1], 'MATCH', ARGV[2], 'COUNT', ARGV[3])
local endless = 0
for _, name in ipairs(page[2]) do
  if redis.call('PTTL', name) == -1 then
    endless = endless + 1
  end
end
return { 'page', page[1], tostring(#page[2]), tostring(endless) }
