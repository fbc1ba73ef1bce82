-- Applies the data part of the delta that begins at ARGV[at] (the version that it is for or '', then what `splice` reads) to
-- `data`, which is of a record at `version`, or nil if there is none. Returns the new data and the counters, or nil and why not.
local function apply_to_data(data, version, at)
  if ARGV[at] ~= '' and tonumber(ARGV[at]) ~= version then
    return nil, 'outdated'
  end
  return splice(data, ARGV, at + 1)
end

-- Applies the delta that begins at ARGV[at] (new metadata or '', then its data part) to a live record. Returns the new line,
-- how long it is to be kept from now, and the answer: `applied` and the counters. Or nil and why not.
local function apply(line, record, now, at)
  local data, counters = apply_to_data(string.sub(line, record.data_at), record.version, at + 1)
  if not data then
    return nil, counters
  end
  local meta = ARGV[at]
  if meta == '' then
    meta = string.sub(line, HEAD + 1, record.data_at - 1)
  end
  record.seen = math.max(record.seen, now)
  record.version = record.version + 1
  table.insert(counters, 1, 'applied')
  return write(record, meta, data), idle_deadline(record) - now, counters
end
