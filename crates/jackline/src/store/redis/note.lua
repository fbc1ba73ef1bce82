-- KEYS: trace · ARGV: now, weight, how long it is kept
local now = tonumber(ARGV[1])
local weight = add_trace(KEYS[1], weight_of(KEYS[1], now), tonumber(ARGV[2]), tonumber(ARGV[3]), now)
return { 'noted', string.format('%.0f', weight) }
