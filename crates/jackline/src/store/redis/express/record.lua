-- A record as connect-redis writes it: a JSON object with a `cookie`. Beside what Express knows stands one member of ours,
-- `jackline`, an object that Express carries along.
--
-- SETTINGS is put in front of this file: `identity`, the JSON names of the members that say who is logged in; `hidden`, all
-- names that are no data; `idle`, the idle limit of a record whose cookie has none; `stem`, what our other names begin with.

local LATEST = 999999999999999
-- How far off a time may be that Redis 6.2 was asked for in two steps.
local SAME_MS = 20
local BURIED_MS = 60000

local HIDDEN = {}
for _, name in ipairs(SETTINGS.hidden) do
  HIDDEN[name] = true
end

local function is_data(name)
  return not HIDDEN[name]
end

local function whole(number)
  return string.format('%.0f', number)
end

local function clock()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- When a name runs out, by Redis's clock. Redis 6.2 says only how much is left.
local function runs_out(name, left)
  local till = redis.pcall('PEXPIRETIME', name)
  return type(till) == 'number' and till or clock() + left
end

local function value_of(members, name)
  local place = members.place[name]
  return place and members.values[place]
end

local function set(members, name, value)
  put(members, name, '"' .. name .. '"', value)
end

-- A JSON object as a table; nil for anything else.
local function object(text)
  if not text or string.sub(text, 1, 1) ~= '{' then
    return nil
  end
  local ok, table = pcall(cjson.decode, text)
  return ok and table or nil
end

-- Who is logged in, as text to be compared. Express writes equal values as equal text.
local function identity_text(members)
  local parts = {}
  for at, name in ipairs(SETTINGS.identity) do
    parts[at] = value_of(members, name) or 'null'
  end
  return '[' .. table.concat(parts, ',') .. ']'
end

local function idle_deadline(record)
  return math.min(record.seen + record.idle, LATEST)
end

-- The record under a name; or nil and why not. `known` if our bookkeeping is about the identity that it has now.
local function fetch(name, now)
  local text = redis.call('GET', name)
  if not text then
    return nil, 'gone'
  end
  local members = members_of(text)
  local cookie = members and object(value_of(members, 'cookie'))
  if not cookie then
    return nil, 'corrupt'
  end
  local record = { text = text, members = members, name = name, idle = SETTINGS.idle }
  local age = cookie.originalMaxAge
  if type(age) == 'number' and age >= 1 and age <= LATEST then
    record.idle = math.floor(age)
  end
  local kept_text = value_of(members, 'jackline')
  local book = object(kept_text)
  if book then
    record.kept = members_of(kept_text)
    record.book = book
    record.known = value_of(record.kept, 'of') == identity_text(members)
      and type(book.ends) == 'number' and type(book.version) == 'number' and type(book.epoch) == 'number'
    record.ends = book.ends
  end
  -- The TTL is the truth. If it is still the one that we set, so is the moment that we set it at; else Express has seen a use.
  local left = redis.call('PTTL', name)
  record.left = left
  if left < 0 then
    left = record.idle
  end
  if record.known and record.left >= 0 and type(book.seen) == 'number' and type(book.till) == 'number'
    and math.abs(book.till - runs_out(name, left)) <= SAME_MS then
    record.seen, record.untouched = book.seen, true
  else
    record.seen = math.min(now, now + left - record.idle)
  end
  return record
end

-- Whether everything of its owner's was revoked since it began.
local function revoked(record)
  if not record.known or type(record.book.index) ~= 'string' then
    return false
  end
  local epoch = redis.call('GET', SETTINGS.stem .. '-epoch:' .. record.book.index)
  return epoch and tonumber(epoch) > record.book.epoch
end

-- Express, whose last writer wins, may bring back what was ended here. So that an end is remembered, for longer than requests are
-- under way. Refused when memory is full, except after something was deleted.
local function bury(grave, now)
  redis.call('SET', grave, whole(now + BURIED_MS), 'PX', BURIED_MS)
end

local function is_buried(grave, now)
  local till = redis.call('GET', grave)
  return till and now < tonumber(till)
end

-- The live record under a name, or nil and why not.
local function live(name, grave, now)
  if is_buried(grave, now) then
    return nil, 'gone'
  end
  local record, reason = fetch(name, now)
  if record and (now >= idle_deadline(record) or revoked(record)) then
    return nil, 'gone'
  end
  return record, reason
end

-- Writes a record that is known, under `name`.
local function save(record, name, now)
  local till = whole(clock() + math.max(idle_deadline(record) - now, 1))
  if record.known then
    set(record.kept, 'seen', whole(record.seen))
    set(record.kept, 'till', till)
    set(record.members, 'jackline', text_of(record.kept))
  end
  redis.call('SET', name, text_of(record.members), 'PXAT', till)
end

-- A record of ours that is new: its text without our bookkeeping, and our bookkeeping. Not written yet.
local function fresh(text, kept_text, idle, now)
  local record = { members = members_of(text), kept = members_of(kept_text), known = true, seen = now, idle = idle }
  set(record.kept, 'of', identity_text(record.members))
  record.book = cjson.decode(kept_text)
  record.ends = record.book.ends
  return record
end

-- Applies the data part of a delta that begins at ARGV[at]: the version that it is for or '', '1' if all data goes first, the
-- most bytes that the data may measure, operations. Returns the counters, or nil and why not.
local function apply_to_data(members, version, at)
  if ARGV[at] ~= '' and tonumber(ARGV[at]) ~= version then
    return nil, 'outdated'
  end
  if ARGV[at + 1] == '1' then
    for name in pairs(members.place) do
      if is_data(name) then
        drop(members, name)
      end
    end
  end
  local counters, reason = change(members, ARGV, at + 3)
  if not counters then
    return nil, reason
  end
  if #text_of(members, is_data) > tonumber(ARGV[at + 2]) then
    return nil, 'too large'
  end
  return counters
end

-- How the name of the index ends that a record is in; '' if nobody is logged in.
local function index_of(book)
  return type(book.index) == 'string' and book.index or ''
end

-- Applies the delta that begins at ARGV[at]: new bookkeeping or '', whose it is or '', and its data part. Returns the answer.
local function apply(record, now, at)
  local version = record.known and record.book.version or nil
  local counters, reason = apply_to_data(record.members, version, at + 2)
  if not counters then
    return nil, reason
  end
  if ARGV[at] ~= '' then
    if not record.known or index_of(record.book) ~= ARGV[at + 1] then
      -- Express has logged somebody else in meanwhile. What was found out about the other is not true of them.
      return nil, 'gone'
    end
    local news = members_of(ARGV[at])
    for name, place in pairs(news.place) do
      set(record.kept, name, news.values[place])
    end
  end
  record.seen = math.max(record.seen, now)
  if record.known then
    set(record.kept, 'version', whole(version + 1))
  end
  table.insert(counters, 1, 'applied')
  return counters
end

-- What Rust reads a record from.
local function line_of(record)
  return whole(record.seen) .. ' ' .. whole(record.idle) .. ' ' .. record.text
end

-- The line under a name and what it says, if it is a session of the index.
local function look(name, now, index)
  local record, reason = fetch(name, now)
  if reason == 'corrupt' then
    return true, nil
  end
  if not record or not record.known or revoked(record)
    or index ~= SETTINGS.stem .. '-sids:' .. tostring(record.book.index) then
    return nil
  end
  return line_of(record), record
end
