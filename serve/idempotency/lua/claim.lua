#!lua
-- Claim a key of which nothing is known; else say what is known, of which the caller judges.
--
-- KEYS, both with the key's own hash tag: 1 entry, hash of token, fingerprint, created, lease (both wall time in ms), state (law.py's numbers);
--   2 answer, string, which ends before its entry.
-- ARGV: wall time in ms or 0 for the server's own; token; fingerprint; lease in ms; ms that a key is kept; token of the entry that may be
--   replaced: one that the law calls forgotten, or that nothing was sent under; the caller's own for none.
-- Reply: claimed now; or known now, then the entry's token, fingerprint, created, lease, state, then its answer, nil where there is none or
--   the fingerprint is another.
-- A repeat with the same token claims again. It is refused as a whole where memory is short: then nothing is claimed.

local clock = redis.call('TIME')
local now = tonumber(ARGV[1])
if now == 0 then now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000) end
local token, fingerprint, lease, kept, over = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local function int(x) return string.format('%.0f', x) end

local was = redis.call('HMGET', KEYS[1], 'token', 'fingerprint', 'created', 'lease', 'state')
if was[1] and was[1] ~= token and was[1] ~= over then
  local answer = was[2] == fingerprint and redis.call('GET', KEYS[2])
  return {'known', int(now), was[1], was[2], was[3], was[4], was[5], answer}
end
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'token', token, 'fingerprint', fingerprint, 'created', int(now), 'lease', int(now + lease), 'state', '0')
redis.call('PEXPIRE', KEYS[1], int(math.max(kept, lease)))
return {'claimed', int(now)}
