-- Notes that a session gave way to another: until when that is remembered, in milliseconds.

local REPLACED_KEPT = 60000

-- A command that Redis refuses when its memory is full, unless the script has written before.
local function note_replaced(name, now)
  redis.call('SET', name, string.format('%.0f', now + REPLACED_KEPT), 'PX', REPLACED_KEPT)
end

local function is_replaced(name, now)
  local till = redis.call('GET', name)
  return till and now < tonumber(till)
end
