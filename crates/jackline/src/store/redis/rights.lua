-- KEYS: what a write is tried on, a session, an index, an epoch; names under which nothing stands
--
-- Runs every command that the scripts use, and answers those that the user may not run. A name that the user may not touch
-- stops the script before it begins.
local ping = KEYS[1]
local tries = {
  { 'SET', ping, '1', 'PX', '1000' }, { 'GET', ping }, { 'GETRANGE', ping, 0, 1 }, { 'SETRANGE', ping, 0, '1' },
  { 'EXISTS', ping }, { 'PTTL', ping }, { 'PEXPIRE', ping, '1000' }, { 'DEL', ping },
  { 'ZADD', ping, 1, 'a' }, { 'ZCARD', ping }, { 'ZSCORE', ping, 'a' }, { 'ZRANGE', ping, 0, -1 },
  { 'ZREVRANGEBYSCORE', ping, 1, 0 }, { 'ZRANDMEMBER', ping, 1 }, { 'ZREM', ping, 'a' }, { 'DEL', ping },
  { 'SCAN', '0', 'COUNT', '1' },
}
local refused = {}
for _, try in ipairs(tries) do
  local answer = redis.pcall(unpack(try))
  local why = type(answer) == 'table' and answer.err
  -- Redis 6.2 says `can't run`, later ones `no permissions to run`; both without a code of their own.
  if why and (string.find(why, "can't run", 1, true) or string.find(why, 'no permissions', 1, true)) then
    refused[#refused + 1] = string.lower(try[1])
  end
end
return refused
