-- Applies a delta to the text of a JSON object without decoding its values: what nobody changed stays the bytes it was,
-- digits of a number included. Does exactly what `lifecycle::Delta::apply` does, for this text and for any other JSON
-- object that ends up here.

local MAX_COUNTER = 9007199254740991

-- Where the string that opens at `at` closes.
local function string_end(text, at)
  if string.byte(text, at) ~= 34 then
    return nil
  end
  at = at + 1
  while true do
    at = string.find(text, '["\\]', at)
    if not at then
      return nil
    end
    if string.byte(text, at) == 34 then
      return at
    end
    at = at + 2
  end
end

-- Where the value that begins at `at` ends.
local function value_end(text, at)
  local first = string.byte(text, at)
  if first == 34 then
    return string_end(text, at)
  end
  if first ~= 123 and first ~= 91 then
    local _, last = string.find(text, '^[^%s,:%[%]{}"]+', at)
    return last
  end
  local depth = 1
  while depth > 0 do
    at = string.find(text, '["%[%]{}]', at + 1)
    if not at then
      return nil
    end
    local char = string.byte(text, at)
    if char == 34 then
      at = string_end(text, at)
      if not at then
        return nil
      end
    elseif char == 123 or char == 91 then
      depth = depth + 1
    else
      depth = depth - 1
    end
  end
  return at
end

-- The name that a JSON string stands for. One that no UTF-8 text can spell (a lone surrogate) keeps its escapes, behind a
-- byte that no name begins with.
local function decoded(token)
  if not string.find(token, '\\', 1, true) then
    return string.sub(token, 2, -2)
  end
  local ok, list = pcall(cjson.decode, '[' .. token .. ']')
  if ok then
    return list[1]
  end
  return '\255' .. token
end

local function no_members()
  return { tokens = {}, values = {}, place = {}, count = 0 }
end

-- Sets a member: a known one keeps its place and its spelling, a new one goes last.
local function put(members, name, token, value)
  local place = members.place[name]
  if not place then
    place = members.count + 1
    members.count = place
    members.place[name] = place
    members.tokens[place] = token
  end
  members.values[place] = value
end

-- The members of an object; nil if the text is not an object. Values are measured, not checked.
local function members_of(text)
  local members = no_members()
  local _, at = string.find(text, '^%s*{%s*')
  if not at then
    return nil
  end
  if string.find(text, '^}%s*$', at + 1) then
    return members
  end
  while true do
    local name_at = at + 1
    local name_end = string_end(text, name_at)
    if not name_end then
      return nil
    end
    local _, colon = string.find(text, '^%s*:%s*', name_end + 1)
    local last = colon and value_end(text, colon + 1)
    if not last then
      return nil
    end
    local token = string.sub(text, name_at, name_end)
    -- Of twins the last value counts, in the first place, as it does for whoever decodes the text.
    put(members, decoded(token), token, string.sub(text, colon + 1, last))
    local _, next_at, char = string.find(text, '^%s*([,}])%s*', last + 1)
    if char == '}' and next_at == #text then
      return members
    end
    if char ~= ',' then
      return nil
    end
    at = next_at
  end
end

-- The number in `text`, or nil and why not. The bounds are those of a 64-bit integer: past them Rust sees no integer, and
-- inside them but past 2^53 it sees one that is too large.
local function counter(text)
  local sign, digits = string.match(text, '^(%-?)(%d+)$')
  if not digits or #digits > 19 then
    return nil, 'not a counter'
  end
  if #digits == 19 then
    -- In two parts, since a double does not tell neighbours of this size apart.
    local high, low = tonumber(string.sub(digits, 1, 9)), tonumber(string.sub(digits, 10))
    local most = sign == '-' and 6854775808 or 6854775807
    if high > 922337203 or (high == 922337203 and low > most) then
      return nil, 'not a counter'
    end
  end
  local number = tonumber(text)
  if math.abs(number) > MAX_COUNTER then
    return nil, 'out of range'
  end
  return number
end

-- The text of an object: of all members, or of those that `wanted` names.
local function text_of(members, wanted)
  local parts = {}
  for place = 1, members.count do
    local token = members.tokens[place]
    if token and (not wanted or wanted(decoded(token))) then
      parts[#parts + 1] = token .. ':' .. members.values[place]
    end
  end
  return '{' .. table.concat(parts, ',') .. '}'
end

-- Takes a member away.
local function drop(members, name)
  local place = members.place[name]
  if place then
    members.place[name] = nil
    members.tokens[place] = false
  end
end

-- Carries out the operations that begin at args[at]: `set` name value, `remove` name, `add` name summand summand. Names and
-- values are JSON text; a summand comes in two parts, either of which a double holds exactly.
--
-- Returns the new values of the counters, or nil and why not; then the members are of no use any more.
local function change(members, args, at)
  local counters = {}
  while args[at] do
    local op, token = args[at], args[at + 1]
    local name = decoded(token)
    if op == 'set' then
      put(members, name, token, args[at + 2])
      at = at + 3
    elseif op == 'remove' then
      drop(members, name)
      at = at + 2
    else
      local place = members.place[name]
      local number, reason = counter(place and members.values[place] or '0')
      if not number then
        return nil, reason
      end
      local sum = number + tonumber(args[at + 2]) + tonumber(args[at + 3])
      if math.abs(sum) > MAX_COUNTER then
        return nil, 'out of range'
      end
      sum = string.format('%.0f', sum)
      put(members, name, token, sum)
      counters[#counters + 1] = sum
      at = at + 4
    end
  end
  return counters
end

-- args[at] is '1' if everything goes first, args[at + 1] the most bytes that the result may measure, and then follow the
-- operations. Returns the new text and the new values of the counters, or nil and why not.
local function splice(text, args, at)
  local clear, most = args[at] == '1', tonumber(args[at + 1])
  local counters = {}
  if clear or args[at + 2] then
    local members = clear and no_members() or members_of(text)
    if not members then
      return nil, 'corrupt'
    end
    local reason
    counters, reason = change(members, args, at + 2)
    if not counters then
      return nil, reason
    end
    text = text_of(members)
  end
  if #text > most then
    return nil, 'too large'
  end
  return text, counters
end
