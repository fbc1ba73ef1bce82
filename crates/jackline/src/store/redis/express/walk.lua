-- KEYS: a name of the server; it is not read
-- ARGV: cursor, pattern, how many names to walk past, epoch, name that stays or '', the owner's id as JSON string
--
-- One step of a walk over all names: ends the sessions of an owner that are not in the index, since only Express has seen them.
local page = redis.call('SCAN', ARGV[1], 'MATCH', ARGV[2], 'COUNT', ARGV[3])
local owner = decoded(ARGV[6])
local ended = 0
for _, name in ipairs(page[2]) do
  local text = name ~= ARGV[5] and redis.pcall('GET', name)
  local members = type(text) == 'string' and members_of(text)
  local id = members and value_of(members, SETTINGS.identity[1])
  if id and (id == owner or (string.sub(id, 1, 1) == '"' and decoded(id) == owner)) then
    local book = object(value_of(members, 'jackline'))
    -- A login of ours from after the revocation says so.
    if not book or type(book.epoch) ~= 'number' or book.epoch < tonumber(ARGV[4]) then
      ended = ended + redis.call('DEL', name)
    end
  end
end
return { 'page', page[1], tostring(ended) }
