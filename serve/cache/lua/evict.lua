-- Forget one entry.
--
-- KEYS: 1 used; 2 ends; 3 facts; 4 ids; 5 state.
-- ARGV: 1 PREFIX; 2 id.
-- Reply: 1 if there was one that had not ended, else 0.
-- Cost: some ten look-ups. A repeat does nothing, and says 0.

local exact = redis.call('HGET', KEYS[4], ARGV[2])
if not exact then return 0 end
return drop(ARGV[1], KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], exact)
