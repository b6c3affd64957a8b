-- Forget a tenant's entries, some at a time so that nobody waits long: whoever clears asks until none is left.
--
-- KEYS: 1 used; 2 ends; 3 facts; 4 ids; 5 state, which stays: its numbers go on.
-- ARGV: 1 PREFIX; 2 how many at most.
-- Reply: how many of them had not ended; how many entries are left.
-- Cost: some ten look-ups for each. A repeat forgets further ones.

local n = 0
for _, exact in ipairs(redis.call('ZRANGE', KEYS[1], 0, tonumber(ARGV[2]) - 1)) do
  n = n + drop(ARGV[1], KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], exact)
end
return {n, redis.call('ZCARD', KEYS[1])}
