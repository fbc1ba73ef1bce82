-- An owner's index: a sorted set of their sessions' digests, scored by when they logged in.

-- The index outlives the session that is being entered, by an hour at least, and never stays for ever.
local function enter(index, score, member, record, now)
  redis.call('ZADD', index, score, member)
  local keep = math.max(record.ends - now, 0) + record.idle + 3600000
  if redis.call('PTTL', index) < keep then
    redis.call('PEXPIRE', index, string.format('%.0f', keep))
  end
end

-- Best effort: whoever ends a session succeeds, also when the index is not one.
local function leave(index, member)
  redis.pcall('ZREM', index, member)
end
