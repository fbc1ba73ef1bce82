-- What became of keys that have no session any more: `<weight> <until when that is remembered, in milliseconds>`.

local REPLACED, REPLACED_KEPT = 3, 60000

-- The weight of the trace under a name; nil if there is none.
local function weight_of(name, now)
  local weight, till = string.match(redis.call('GET', name) or '', '^(%d) (%d+)$')
  if weight and now < tonumber(till) then
    return tonumber(weight)
  end
  return nil
end

-- What is left of a key that has no session, as the answer: `absent`, or a weight.
local function trace(weight)
  return weight and string.format('%.0f', weight) or 'absent'
end

-- A command that Redis refuses when its memory is full, unless the script has written before.
local function leave_trace(name, weight, kept, now)
  redis.call('SET', name, string.format('%.0f %.0f', weight, now + kept), 'PX', kept)
end

-- Leaves a trace beside what was `there`, the weight of another or nil, unless that one is more. Returns what is there from now on.
local function add_trace(name, there, weight, kept, now)
  if there and there > weight then
    return there
  end
  leave_trace(name, weight, kept, now)
  return weight
end

-- Nothing weighs more, so nothing is read before it is written.
local function note_replaced(name, now)
  leave_trace(name, REPLACED, REPLACED_KEPT, now)
end
