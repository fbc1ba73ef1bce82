-- KEYS: index, epoch · ARGV: now, prefix of the owner's session keys, member that stays or ''
local index, epoch = KEYS[1], KEYS[2]
local members = redis.call('ZRANGE', index, 0, -1)
local after = math.max(tonumber(redis.call('GET', epoch) or '0') + 1, tonumber(ARGV[1]))
-- The epoch comes last: when Redis's memory is full it refuses to set one, except after something was deleted.
local ended = 0
for _, member in ipairs(members) do
  if member ~= ARGV[3] then
    ended = ended + redis.call('DEL', ARGV[2] .. member)
    redis.call('ZREM', index, member)
  end
end
redis.call('SET', epoch, string.format('%.0f', after), 'PX', 3600000)
return { 'done', tostring(ended) }
