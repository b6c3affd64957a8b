-- Replace a hold, live or expired, by what was spent; once. An unknown one is booked as the truth, but for a day
-- that is closed. ARGV 6..: request id, day, actual, whether the past learns of it, accounts of its scopes (for an unknown
-- one; parted by spaces). Reply: settled now q. A stale host's word needs no booking: its next report has what it says.

local id, day, actual, learns = ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9] == '1'

local no = enter()
if no then return no end
sweep()
forget()
changed()
local e = known_of(id)
if (e and e.state == SETTLED) or ((not e or e.state == DROPPED) and day < today - KEEP_DAYS) then return {'settled', int(now), int(q)} end
if not e or e.state == DROPPED then
  e = {day = day, amount = actual, expires = now, state = HELD, charged = 0, slot = 0, host = host, report = report,
       accounts = ARGV[10]}
  move(e, actual, 0)
else
  move(e, actual - e.charged, e.state == HELD and -e.amount or 0)
end
e.state, e.charged = SETTLED, actual
write(id, e)
drop(id, now + FORGET_MS)
if actual > 0 and learns then
  local a = redis.call('HMGET', books, 'calls', 'mean', 'm2')
  local calls, mean, m2, value = number(a[1]) + 1, number(a[2]), number(a[3]), math.log(actual)
  local distance = value - mean
  mean = mean + distance / calls
  redis.call('HSET', books, 'calls', int(calls), 'mean', real(mean), 'm2', real(m2 + distance * (value - mean)))
end
return {'settled', int(now), int(q)}
