-- KEYS: index · ARGV: now, prefix of the owner's session keys, most sessions, [score and member where the page before ended]
--
-- Newest login first, equal ones by member, backwards: the order in which Redis walks the set backwards. Looks at no more
-- than 200 entries beside the sessions it returns; when more have run out, the page is short and says where to go on.
local index, now, prefix, limit = KEYS[1], tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local after_score, after_member = ARGV[4], ARGV[5]
local budget = limit + 200

-- Whether `a` sorts before `b`, byte by byte: `<` would ask the server's locale.
local function before(a, b)
  for at = 1, math.min(#a, #b) do
    local x, y = string.byte(a, at), string.byte(b, at)
    if x ~= y then
      return x < y
    end
  end
  return #a < #b
end

local found, stale, count = {}, {}, 0
local last_score, last_member
local offset, more, tied = 0, false, after_score ~= nil
while true do
  local entries = redis.call('ZREVRANGEBYSCORE', index, after_score or '+inf', '-inf', 'WITHSCORES', 'LIMIT', offset, 100)
  for at = 1, #entries, 2 do
    local member, score = entries[at], entries[at + 1]
    tied = tied and score == after_score
    if not tied or before(member, after_member) then
      if budget == 0 then
        more = true
        break
      end
      budget = budget - 1
      local line, record = look(prefix .. member, now, index)
      if not line then
        stale[#stale + 1] = member
      elseif not record then
        return { 'corrupt' }
      elseif now < idle_deadline(record) then
        if count == limit then
          more = true
          break
        end
        found[#found + 1] = member
        found[#found + 1] = line
        count = count + 1
      end
      last_score, last_member = score, member
    end
  end
  if more or #entries < 200 then
    break
  end
  offset = offset + 100
end
for _, member in ipairs(stale) do
  redis.pcall('ZREM', index, member)
end
local answer = { 'page', more and last_score or '', more and last_member or '' }
for at = 1, #found do
  answer[at + 3] = found[at]
end
return answer
