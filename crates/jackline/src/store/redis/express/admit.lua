-- KEYS: session, index, epoch, [replaced session, its trace and grave, [its index]]
-- ARGV: now, epoch, at the cap (`prune`, `refuse` or `allow`), cap, text, our bookkeeping, idle limit, started, member, prefix of
-- sessions, replaced member or '', [data part of a delta, if the data moves along]
--
-- Decides first and writes then, so that whatever stops it, stops it before the first write.
local session, index, epoch, replaced, replaced_trace, grave, replaced_index = unpack(KEYS)
local now, at_cap, cap = tonumber(ARGV[1]), ARGV[3], tonumber(ARGV[4])
local started, member, prefix, replaced_member = ARGV[8], ARGV[9], ARGV[10], ARGV[11]

if redis.call('EXISTS', session) == 1 then
  return { 'conflict' }
end
if (redis.call('GET', epoch) or '0') ~= ARGV[2] then
  return { 'revoked' }
end

-- The owner's sessions within both limits, oldest login first. They are looked at only when there might be too many.
local others, stale = {}, {}
local full = at_cap ~= 'allow' and redis.call('ZCARD', index) >= cap
if full then
  for _, other in ipairs(redis.call('ZRANGE', index, 0, -1)) do
    local line, record = look(prefix .. other, now, index)
    if not line then
      stale[#stale + 1] = other
    elseif other ~= replaced_member and record and now < idle_deadline(record) and now < record.ends then
      others[#others + 1] = other
    end
  end
else
  for _, other in ipairs(redis.call('ZRANDMEMBER', index, 8)) do
    if redis.call('EXISTS', prefix .. other) == 0 then
      stale[#stale + 1] = other
    end
  end
end
if full and at_cap == 'refuse' and #others >= cap then
  return { 'at cap' }
end

local record = fresh(ARGV[5], ARGV[6], tonumber(ARGV[7]), now)
if replaced and ARGV[12] then
  local old, reason = live(replaced, grave, now)
  if reason == 'corrupt' then
    return { reason }
  end
  for name in pairs(record.members.place) do
    if is_data(name) then
      drop(record.members, name)
    end
  end
  if old then
    for place = 1, old.members.count do
      local token = old.members.tokens[place]
      local name = decoded(token)
      if is_data(name) then
        put(record.members, name, token, old.members.values[place])
      end
    end
  end
  local counters, refused = apply_to_data(record.members, old and old.known and old.book.version or nil, 12)
  if not counters then
    return { refused }
  end
end

save(record, session, now)
enter(index, started, member, record, now)
if replaced then
  redis.call('DEL', replaced)
  bury(grave, now)
  note_replaced(replaced_trace, now)
  leave(index, replaced_member)
  if replaced_index then
    leave(replaced_index, replaced_member)
  end
end
local answer = { 'done' }
if at_cap == 'prune' then
  for place = #others - math.max(cap - 1, 0), 1, -1 do
    redis.call('DEL', prefix .. others[place])
    leave(index, others[place])
    answer[#answer + 1] = others[place]
  end
end
for _, other in ipairs(stale) do
  leave(index, other)
end
return answer
