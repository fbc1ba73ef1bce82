-- A record as store/codec writes it: `J1 <seen> <idle> <ends> <version> <meta length> <meta><data JSON>`, the
-- numbers padded to a fixed width. Positions count from one.

local HEAD = 68
local LATEST = 999999999999999

-- The numbers of a record's head; nil for anything that Jackline did not write.
local function read_head(line)
  local seen, idle, ends, version, meta = string.match(
    string.sub(line, 1, HEAD), '^J1 (%d+) (%d+) (%d+) (%d+) (%d+) $')
  if not seen or #seen ~= 15 or #idle ~= 12 or #ends ~= 15 or #version ~= 12 or #meta ~= 6 then
    return nil
  end
  return {
    seen = tonumber(seen),
    idle = tonumber(idle),
    ends = tonumber(ends),
    version = tonumber(version),
    data_at = HEAD + tonumber(meta) + 1,
  }
end

-- The same, of a line that is at least as long as its head says.
local function read(line)
  local record = read_head(line)
  if record and record.data_at > #line + 1 then
    return nil
  end
  return record
end

-- The line under a name and what it says; nil twice if there is none.
local function look(name)
  local line = redis.call('GET', name)
  return line, line and read(line)
end

-- When its idle limit runs out. From that moment on it is expired.
local function idle_deadline(record)
  return math.min(record.seen + record.idle, LATEST)
end

-- %d would pass through a C integer; %.0f prints whole doubles of this size exactly.
local function seen_digits(seen)
  return string.format('%015.0f', seen)
end

local function write(record, meta, data)
  return string.format('J1 %s %012.0f %015.0f %012.0f %06.0f ',
    seen_digits(record.seen), record.idle, record.ends, record.version, #meta) .. meta .. data
end
