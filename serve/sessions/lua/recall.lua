#!lua flags=no-writes
-- What was left last on a session, with the time that it is still kept for.
--
-- KEYS: 1 word of a session.
-- Reply: ms until it is forgotten, and the word; nothing where there is none, or one that never ends and so is not ours.
-- Cost: two look-ups of one key. A repeat changes nothing.

local word = redis.call('GET', KEYS[1])
if not word then return nil end
local left = redis.call('PTTL', KEYS[1])
if left < 0 then return nil end
return {left, word}
