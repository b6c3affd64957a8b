#!lua flags=allow-oom
-- Free a key under which nothing was spent. It only takes away, so it is carried out where memory is short too.
--
-- KEYS: as in claim.lua. ARGV: token.
-- Reply: 1 freed; 0 nothing is known of the key, or it is another's.
-- A repeat does nothing.

if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1], KEYS[2])
return 1
