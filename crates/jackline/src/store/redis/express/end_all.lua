-- KEYS: index, epoch · ARGV: now, prefix of sessions, member that stays or '', how long the epoch is kept
local index, epoch, now = KEYS[1], KEYS[2], tonumber(ARGV[1])
local members = redis.call('ZRANGE', index, 0, -1)
local after = whole(math.max(tonumber(redis.call('GET', epoch) or '0') + 1, now))

-- Whether the session under a name is to go: unless Express has given it to somebody else, whom this is not about. Decodes all
-- of it at once, which is fast, since an owner may have many; what was not made for that is looked at slowly.
local function is_theirs(name)
  local text = redis.call('GET', name)
  local ok, record = pcall(cjson.decode, text or '')
  local book = ok and type(record) == 'table' and record.jackline
  if type(book) == 'table' and type(book.of) == 'table' then
    return book.of[1] == record[SETTINGS.identity[1]] and SETTINGS.stem .. '-sids:' .. tostring(book.index) == index
  end
  return look(name, now, index)
end

-- What stays is found before the epoch says that it is revoked, and anything written after something was deleted: then Redis
-- refuses it in no case.
local stays
local score = ARGV[3] ~= '' and redis.call('ZSCORE', index, ARGV[3])
if score then
  local _
  _, stays = look(ARGV[2] .. ARGV[3], now, index)
end
local ended = 0
for _, member in ipairs(members) do
  local name = ARGV[2] .. member
  if member ~= ARGV[3] and is_theirs(name) then
    ended = ended + redis.call('DEL', name)
  end
end
redis.call('DEL', index)
if stays then
  enter(index, score, ARGV[3], stays, now)
  set(stays.kept, 'epoch', after)
  save(stays, stays.name, now)
end
redis.call('SET', epoch, after, 'PX', ARGV[4])
return { 'done', tostring(ended), after }
