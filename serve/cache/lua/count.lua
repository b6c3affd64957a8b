-- How many entries of a tenant have not ended.
--
-- KEYS: 1 ends.
-- Reply: the number.
-- Cost: one look-up. A repeat changes nothing.

return redis.call('ZCOUNT', KEYS[1], '(' .. int(now_ms), '+inf')
