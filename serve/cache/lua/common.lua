-- What all scripts of the cache share: how an entry is forgotten. Each script says which of these keys it takes.
--
-- Keys of one tenant, all with its hash tag, so that a cluster keeps them together. PREFIX is p402:cache:{TENANT}: and all digests are hexadecimal:
--   PREFIXe:EXACT            hash: entry (packed), and where it is compared by meaning: vector, text. Ends by itself.
--   PREFIXs:SCOPE:EMBEDDER   zset: EXACT by the number under which it was kept: the prompts of a scope that one embedder has vectors of
--   PREFIXused               zset: EXACT by when it was last used, us by the server's clock
--   PREFIXends               zset: EXACT by when it ends, ms likewise
--   PREFIXfacts              hash: EXACT -> "size index id", index being the key of its scope's prompts without PREFIX, - for none
--   PREFIXids                hash: id -> EXACT
--   PREFIXstate              hash: last (the last number given), size (bytes of all entries)
-- Numbers are the server's us or one more than the last, so that they go on where Redis has forgotten all. Entries and scopes have names that only
-- the script knows, in the same slot as its KEYS.

local clock = redis.call('TIME')
local now_us = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local now_ms = math.floor(now_us / 1000)

local function int(x) return string.format('%.0f', x) end

-- Forget an entry and all that leads to it; 1 if it had not ended.
local function drop(prefix, used, ends, facts, ids, state, exact)
  local known = redis.call('HGET', facts, exact)
  if known then
    local size, index, id = string.match(known, '^(%d+) (%S+) (.*)$')
    if id then
      redis.call('HINCRBY', state, 'size', '-' .. size)
      if index ~= '-' then redis.call('ZREM', prefix .. index, exact) end
      if redis.call('HGET', ids, id) == exact then redis.call('HDEL', ids, id) end
    end
    redis.call('HDEL', facts, exact)
  end
  redis.call('ZREM', used, exact)
  redis.call('ZREM', ends, exact)
  return redis.call('UNLINK', prefix .. 'e:' .. exact)
end

