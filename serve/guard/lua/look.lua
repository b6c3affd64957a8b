-- Where a tenant stands. ARGV 6..: most calls to name, hosts, scopes.
-- Reply: standing now q spent held in_flight tat calls mean m2, then of each scope what is spent, held, and spent by others, then of each
-- held call its id and entry.

local no = enter()
if no then return no end
sweep()
changed()
local spent, held = totals(today)
local a = redis.call('HMGET', books, 'tat', 'calls', 'mean', 'm2')
local reply = {'standing', int(now), int(q), int(spent), int(held), int(in_flight()),
               a[1] or '0', a[2] or '0', a[3] or '0', a[4] or '0'}
for _, s in ipairs(scoped(8, today, tonumber(ARGV[7]))) do tell(reply, s, 0, 0) end
for _, id in ipairs(redis.call('ZRANGE', due, 0, tonumber(ARGV[6]) - 1)) do
  reply[#reply + 1] = id
  reply[#reply + 1] = redis.call('HGET', holds, id)
end
return reply
