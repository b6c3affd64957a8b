#!lua
-- Leave a worker's word in place of its last, and give those of all others that are not too old.
--
-- KEYS: 1 hash of worker to its word: when it was left (wall time in ms), a colon, and what it says.
-- ARGV: wall time in ms or 0 for the server's own; worker; what it says; ms after which a word is too old.
-- Reply: age in ms and content of each, one after the other.
-- Cost: as many words as there are workers. Words that are too old, or of a clock that went back, are removed; the key ends with its last.
-- A repeat leaves the word again.

local clock = redis.call('TIME')
local now = tonumber(ARGV[1])
if now == 0 then now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000) end
local worker, keep = ARGV[2], tonumber(ARGV[4])

redis.call('HSET', KEYS[1], worker, string.format('%.0f', now) .. ':' .. ARGV[3])
local all, out = redis.call('HGETALL', KEYS[1]), {}
for i = 1, #all, 2 do
  local colon = string.find(all[i + 1], ':', 1, true)
  local at = colon and tonumber(string.sub(all[i + 1], 1, colon - 1))
  local age = at and now - at
  if not age or age < 0 or age > keep then
    redis.call('HDEL', KEYS[1], all[i])
  elseif all[i] ~= worker then
    out[#out + 1] = string.format('%.0f', age)
    out[#out + 1] = string.sub(all[i + 1], colon + 1)
  end
end
redis.call('PEXPIRE', KEYS[1], keep)
return out
