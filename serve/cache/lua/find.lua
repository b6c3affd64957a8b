-- The entry of a prompt; where there is none, what was kept in its scope since the caller last asked.
--
-- KEYS: 1 the entry; 2 used; 3 state; 4 the scope's prompts.
-- ARGV: 1 PREFIX; 2 EXACT, empty for whoever only wants what is new; 3 the number up to which the caller knows the scope, empty for whoever does not compare;
--   4 how many prompts to tell at most; 5 after how many bytes to tell no more.
-- Reply: the packed entry, alone. Else nothing, and to whoever compares: the number up to which the scope is told with this; how many prompts it has; 1 where
--   the caller knows more than was ever kept here (Redis has forgotten), so that it is told anew; 1 where there is more to tell; then EXACT, vector and text of each.
-- Cost: one look-up; else one for each prompt that is told. One that has ended leaves its scope. A repeat tells the same.

local entry, used, state, scope = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local prefix, exact, most, room = ARGV[1], ARGV[2], tonumber(ARGV[4]), tonumber(ARGV[5])

if exact ~= '' then
  local found = redis.call('HGET', entry, 'entry')
  if found then
    redis.call('ZADD', used, 'XX', int(now_us), exact)
    return {found}
  end
end
if ARGV[3] == '' then return {false} end

local seen, last, anew, more = tonumber(ARGV[3]), tonumber(redis.call('HGET', state, 'last') or 0), 0, 0
if seen > last then seen, anew = 0, 1 end
local told, out = last, {}
local new = redis.call('ZRANGE', scope, '(' .. int(seen), '+inf', 'BYSCORE', 'LIMIT', 0, most, 'WITHSCORES')
for i = 1, #new, 2 do
  local parts = redis.call('HMGET', prefix .. 'e:' .. new[i], 'vector', 'text')
  if parts[1] and parts[2] then
    out[#out + 1], out[#out + 2], out[#out + 3] = new[i], parts[1], parts[2]
    room = room - #parts[1] - #parts[2]
  else
    redis.call('ZREM', scope, new[i])
  end
  if i == 2 * most - 1 or (room < 0 and i < #new - 1) then
    told, more = tonumber(new[i + 1]), 1
    break
  end
end
return {false, int(told), redis.call('ZCARD', scope), anew, more, unpack(out)}
