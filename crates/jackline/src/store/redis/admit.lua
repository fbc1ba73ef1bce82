-- KEYS: session, index, epoch, [replaced session, its trace, [its index]]
-- ARGV: now, epoch, at the cap (`prune`, `refuse` or `allow`), cap, line, member, started, prefix of the owner's session
-- keys, replaced member or '', [data part of a delta, if the data moves along]
--
-- Decides first and writes then, so that whatever stops it, stops it before the first write.
local session, index, epoch, replaced, replaced_trace, replaced_index = unpack(KEYS)
local now, at_cap, cap, line, member = tonumber(ARGV[1]), ARGV[3], tonumber(ARGV[4]), ARGV[5], ARGV[6]
local started, prefix, replaced_member = ARGV[7], ARGV[8], ARGV[9]

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
    local head = redis.call('GETRANGE', prefix .. other, 0, HEAD - 1)
    if head == '' then
      stale[#stale + 1] = other
    elseif other ~= replaced_member then
      local record = read_head(head)
      if record and now < idle_deadline(record) and now < record.ends then
        others[#others + 1] = other
      end
    end
  end
else
  -- Sessions that ran out leave their entries behind. Looking at a few entries at every login keeps those at a small part
  -- of the index: each login adds one, and takes away a few as soon as there are many.
  for _, other in ipairs(redis.call('ZRANDMEMBER', index, 8)) do
    if redis.call('EXISTS', prefix .. other) == 0 then
      stale[#stale + 1] = other
    end
  end
end
if full and at_cap == 'refuse' and #others >= cap then
  return { 'at cap' }
end

local record = read(line)
if replaced and ARGV[10] then
  local data, version = '{}', nil
  local old_line = redis.call('GET', replaced)
  local old = old_line and read(old_line)
  if old_line and not old then
    return { 'corrupt' }
  end
  if old and now < idle_deadline(old) then
    data, version = string.sub(old_line, old.data_at), old.version
  end
  local moved, reason = apply_to_data(data, version, 10)
  if not moved then
    return { reason }
  end
  line = string.sub(line, 1, record.data_at - 1) .. moved
end

redis.call('SET', session, line, 'PX', string.format('%.0f', idle_deadline(record) - now))
enter(index, started, member, record, now)
if replaced then
  redis.call('DEL', replaced)
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
