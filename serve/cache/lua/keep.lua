-- Keep an entry, in place of an earlier one of its prompt, and make room: of what has ended, and then of the tenant's longest unused.
--
-- KEYS: 1 used; 2 ends; 3 facts; 4 ids; 5 state; 6 the entry; 7 the scope's prompts.
-- ARGV: 1 PREFIX; 2 EXACT; 3 id; 4 ms until it ends; 5 its size; 6 the packed entry; 7 index, - where it is not compared; 8 vector; 9 text;
--   10 and 11 entries and bytes that a tenant may have.
-- Reply: how many others went.
-- Cost: some twenty look-ups, beside some eight for each that goes, 64 that have ended and 1,000 others at most. A repeat keeps it again, for as long.

local used, ends, facts, ids, state, entry, scope = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local prefix, exact, id, ttl, size, index = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5], ARGV[7]
local max_entries, max_bytes, gone = tonumber(ARGV[10]), tonumber(ARGV[11]), 0

drop(prefix, used, ends, facts, ids, state, exact)
redis.call('HSET', entry, 'entry', ARGV[6])
if index ~= '-' then
  local last = tonumber(redis.call('HGET', state, 'last') or 0)
  last = math.max(now_us, last + 1)
  redis.call('HSET', entry, 'vector', ARGV[8], 'text', ARGV[9])
  redis.call('HSET', state, 'last', int(last))
  redis.call('ZADD', scope, int(last), exact)
end
redis.call('PEXPIRE', entry, ttl)
redis.call('ZADD', used, int(now_us), exact)
redis.call('ZADD', ends, int(now_ms + ttl), exact)
redis.call('HSET', facts, exact, size .. ' ' .. index .. ' ' .. id)
redis.call('HSET', ids, id, exact)
redis.call('HINCRBY', state, 'size', size)
for _, key in ipairs({used, ends, facts, ids, state, scope}) do -- all of them end with the entry that ends last
  local left = redis.call('PTTL', key)
  if left ~= -2 and left < ttl + 1000 then redis.call('PEXPIRE', key, ttl + 1000) end
end

for _, old in ipairs(redis.call('ZRANGE', ends, '-inf', int(now_ms), 'BYSCORE', 'LIMIT', 0, 64)) do
  drop(prefix, used, ends, facts, ids, state, old)
end
local count, bytes = redis.call('ZCARD', used), tonumber(redis.call('HGET', state, 'size'))
while (count > max_entries or bytes > max_bytes) and count > 1 and gone < 1000 do
  drop(prefix, used, ends, facts, ids, state, redis.call('ZRANGE', used, 0, 0)[1])
  count, bytes, gone = count - 1, tonumber(redis.call('HGET', state, 'size')), gone + 1
end
return gone
