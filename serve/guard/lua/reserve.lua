-- Admit a call by layers 1, 2, 3, 4 and 6, and hold the most it may cost. One round trip.
-- ARGV 6..: request id, amount, expected (for layer 4; 0 unknown), cap, spacing_us, burst, max in flight,
--   anomaly z, anomaly calls, whether anomalies are refused, hold's ttl ms, slot's lease ms, hosts, grace ms, scopes.
-- Reply: granted now q day amount tat calls mean m2 (before this call; a repeat is given what it has)
--        refused now q spent held in_flight tat calls mean m2 (the law tells why from these)
--        and both of each scope what is spent and held beside this call, and spent by others
--        over now q (the id is settled)
-- Source of the bucket: generic cell rate algorithm, ITU-T I.371; of the moments: Welford, 1962.

local id, amount, expected, cap = ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local spacing, burst, most = tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12])
local z, shortest, blocks = tonumber(ARGV[13]), tonumber(ARGV[14]), ARGV[15] == '1'
local ttl, lease, hosts, grace = tonumber(ARGV[16]), tonumber(ARGV[17]), tonumber(ARGV[18]), tonumber(ARGV[19])
local LEAST_SD = 1e-6

local no = enter() or closed(hosts, cap, grace)
if no then return no end
sweep()
local known = known_of(id)
local a = redis.call('HMGET', books, 'tat', 'calls', 'mean', 'm2')
local tat, calls, mean, m2 = number(a[1]), number(a[2]), number(a[3]), number(a[4])
local past = {a[1] or '0', a[2] or '0', a[3] or '0', a[4] or '0'}
if known and known.state ~= DROPPED then
  changed()
  if known.state == SETTLED then return {'over', int(now), int(q)} end
  local reply = {'granted', int(now), int(q), int(known.day), int(known.amount), unpack(past)}
  for _, s in ipairs(scoped(20, known.day, hosts)) do
    local mine = names(known, s.name)
    tell(reply, s, mine and known.charged or 0, mine and known.state == HELD and known.amount or 0)
  end
  return reply
end
local spent, held = totals(today)
local of, narrow, accounts = scoped(20, today, hosts), false, {}
for i, s in ipairs(of) do
  narrow = narrow or s.spent + s.held + amount > s.most
  accounts[i] = s.name
end
local flying = in_flight()
local now_us = now * 1000
local base = math.max(tat, now_us)
local after = base + spacing
if known then after, spacing = tat, 0 end -- asked for again behind a report: its request was taken from the rate

local function told(reply)
  for _, s in ipairs(of) do tell(reply, s, 0, 0) end
  return reply
end

local function out_of_line()
  if not blocks or expected == 0 or calls < math.max(2, shortest) then return false end
  local sd = math.sqrt(m2 / (calls - 1))
  return sd >= LEAST_SD and (math.log(expected) - mean) / sd >= z
end

if spacing > 0 and base + spacing - spacing * burst - now_us > 0 or spent + held + amount > cap or narrow
  or flying >= most or out_of_line() then
  changed()
  return told({'refused', int(now), int(q), int(spent), int(held), int(flying), unpack(past)})
end
if known then redis.call('ZREM', old, id) end
q = q + 1
redis.call('HSET', books, 'q', int(q), 'tat', int(after), int(today) .. ':h', int(held + amount))
local e = {day = today, amount = amount, expires = now + ttl, state = HELD, charged = 0, slot = now + lease,
           host = host, report = report, accounts = table.concat(accounts, ' ')}
keep(id, e)
shift(e, 0, amount)
past[1] = int(after)
return told({'granted', int(now), int(q), int(today), int(amount), unpack(past)})
