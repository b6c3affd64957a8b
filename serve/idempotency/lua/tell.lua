-- What the holder of a key says of it: its exchange goes on, was broken off, or has ended. A key that Redis lost meanwhile is there again.
-- Two scripts of this text (scripts.py): one that may bring an answer, and one that brings none and is carried out where memory is short too.
--
-- KEYS: as in claim.lua.
-- ARGV: wall time in ms or 0 for the server's own; token; fingerprint; when it was claimed, ms; state; ms from now on that it certainly
--   lives, 0 for not at all; ms that a key is kept; then, with an answer, ms that it is kept, and itself.
-- Reply: 1 done; 0 the key is another's, or has ended already.
-- A repeat changes nothing more.

local clock = redis.call('TIME')
local now = tonumber(ARGV[1])
if now == 0 then now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000) end
local token, fingerprint, created, state = ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
local lease, kept = tonumber(ARGV[6]), tonumber(ARGV[7])
local function int(x) return string.format('%.0f', x) end

local was = redis.call('HMGET', KEYS[1], 'token', 'state')
if was[1] and (was[1] ~= token or was[2] ~= '0') then return 0 end
local alive = lease > 0 and now + lease or 0
local left = math.max(created + kept, alive) - now
if left <= 0 then
  redis.call('DEL', KEYS[1], KEYS[2])
  return 1
end
redis.call('HSET', KEYS[1], 'token', token, 'fingerprint', fingerprint, 'created', int(created), 'lease', int(alive), 'state', state)
redis.call('PEXPIRE', KEYS[1], int(left))
if ARGV[9] then redis.call('SET', KEYS[2], ARGV[9], 'PX', int(math.min(left, tonumber(ARGV[8])))) end
return 1
