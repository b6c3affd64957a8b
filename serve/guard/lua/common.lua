#!lua
-- What all scripts of the guard share: the books of one tenant, and how a call of a host enters them.
--
-- KEYS, all with the tenant's hash tag, so that a cluster keeps them together:
--   1 books  hash: run (id of the server that wrote it), q, born, open, n_hosts, absent, absent_day; tat, calls, mean, m2; g:HOST its last report;
--            DAY:s and DAY:h spent and held in all, DAY:s:HOST spent by a host; w:HOST the report ahead of which it tells of
--            scopes: its number, that in force before, when (this server's ms), its token; g:HOST is below zero meanwhile
--   2 holds  hash: request id -> "day amount expires state charged slot host report ACCOUNT..."; and of expired:HOST the ids
--            of its calls with scopes that expired since its report
--   3 due    zset: calls that are held, by when their hold ends
--   4 slots  zset: calls that are held, by when their slot is free
--   5 old    zset: calls that are not held any more and, as scope:ACCOUNT, accounts of scopes, by when they may be forgotten
--   6 scopes hash: account of a scope (p402/guard/scopes.py) -> "held HOST spent HOST spent...", and behind ? what hosts have seen
--            others spend that these had not told when they said so, behind !HOST under which report it told of this account ahead
-- ARGV 1 to 5: wall time in ms or 0 for the server's own; host, empty for whoever only looks; number of its report; last q that it saw;
--   run id of this server, zeros where it is not told.
-- Replies begin with a word: cold (nothing is known, or it went back: report), stale (another report is in
-- force: its number), wait (not all hosts have reported: ms), or the script's own. A reply of these three
-- says that nothing was done. Money is whole nano-USD below 2^53, exact in Lua's numbers.

local books, holds, due, slots, old, scopes = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local HELD, EXPIRED, SETTLED, DROPPED = 0, 1, 2, 3 -- dropped: a report did not name it; it had its request of the rate
local DAY_MS, KEEP_DAYS, LIFE_DAYS, FORGET_MS, DROPPED_MS, TELLING_MS = 86400000, 2, 35, 3600000, 60000, 30000
local SCOPE, EXPIRED_OF = 'scope:', 'expired:'

local clock = redis.call('TIME')
local now = tonumber(ARGV[1])
if now == 0 then now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000) end
local host, report, seen, run = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local today = math.floor(now / DAY_MS)
local q = 0

local function int(x) return string.format('%.0f', x) end
local function real(x) return string.format('%.17g', x) end
local function number(x) return tonumber(x or 0) end

local function read(text)
  if not text then return nil end
  local d, a, x, s, c, l, h, r, of = string.match(text, '^(%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) ?(.*)$')
  return {day = tonumber(d), amount = tonumber(a), expires = tonumber(x), state = tonumber(s),
          charged = tonumber(c), slot = tonumber(l), host = h, report = tonumber(r), accounts = of}
end

-- What is known of a call. An expired one of this host that its report in force did not name is charged no more.
local function known_of(id)
  local e = read(redis.call('HGET', holds, id))
  if e and e.state == EXPIRED and e.host == host and e.report ~= report then e.state, e.charged = DROPPED, 0 end
  return e
end

local function text_of(e)
  local text = table.concat({int(e.day), int(e.amount), int(e.expires), int(e.state), int(e.charged), int(e.slot), e.host,
                             int(e.report)}, ' ')
  return e.accounts == '' and text or text .. ' ' .. e.accounts
end

local function write(id, e) redis.call('HSET', holds, id, text_of(e)) end

local function spend(day, who, nano)
  if nano ~= 0 then
    redis.call('HINCRBY', books, int(day) .. ':s', int(nano))
    redis.call('HINCRBY', books, int(day) .. ':s:' .. who, int(nano))
  end
end

local function hold(day, nano)
  if nano ~= 0 then redis.call('HINCRBY', books, int(day) .. ':h', int(nano)) end
end

local told_under = nil -- in a report whose host has told of scopes ahead of it, under what number

-- Account of a scope: held, spent in all, and by whom; and under which report a host told of it, a part at a time.
local function account(name)
  local text = redis.call('HGET', scopes, name)
  local a = {held = 0, spent = 0, untold = 0, by = {}, told = {}}
  if not text then return a end
  a.held = tonumber(string.match(text, '^%S+'))
  for who, nano in string.gmatch(text, ' (%S+) (%S+)') do
    if who == '?' then
      a.untold = tonumber(nano)
    elseif string.sub(who, 1, 1) == '!' then
      a.told[string.sub(who, 2)] = nano
    else
      a.by[who] = tonumber(nano)
      a.spent = a.spent + a.by[who]
    end
  end
  return a
end

local function put(name, a, day)
  local words = {int(a.held)}
  if a.untold > 0 then words = {int(a.held), '?', int(a.untold)} end
  for who, number in pairs(a.told) do
    words[#words + 1] = '!' .. who
    words[#words + 1] = number
  end
  for who, nano in pairs(a.by) do
    if nano ~= 0 then
      words[#words + 1] = who
      words[#words + 1] = int(nano)
    end
  end
  redis.call('HSET', scopes, name, table.concat(words, ' '))
  local of = tonumber(string.match(name, '/d(%d+)$'))
  local last = of and of + KEEP_DAYS or math.max(day, today) + LIFE_DAYS
  redis.call('ZADD', old, int((last + 1) * DAY_MS), SCOPE .. name)
end

-- What a call moves in the accounts of its scopes; but for what its host has spent where that was told ahead of this report.
local function shift(e, spent, held)
  if spent == 0 and held == 0 then return end
  for name in string.gmatch(e.accounts, '%S+') do
    local a = account(name)
    a.held = a.held + held
    local is_told = told_under and e.host == host and a.told[host] == told_under
    if not is_told then
      a.by[e.host] = (a.by[e.host] or 0) + spent
      if e.host == host then a.told[host] = nil end
    end
    put(name, a, e.day)
  end
end

-- What a call moves in its day, and with it in its scopes.
local function move(e, spent, held)
  spend(e.day, e.host, spent)
  hold(e.day, held)
  shift(e, spent, held)
end

-- Months since the year 0, of days since 1970. Source: H. Hinnant, chrono-compatible low-level date algorithms.
local function month_of(day)
  local z = day + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local m = mp < 10 and mp + 3 or mp - 9
  return (yoe + era * 400 + (m <= 2 and 1 or 0)) * 12 + m - 1
end

-- A scope's account of a day, of a stem that ends with its period's letter.
local function account_of(stem, day)
  local period = string.sub(stem, -1)
  if period == 'd' then return stem .. int(day) end
  if period == 'm' then return stem .. int(month_of(day)) end
  return stem
end

-- What hosts may have spent in an account that have not reported since Redis forgot: each its share of the cap, or what is known
-- of it, or was seen by others, where that is more. Days and months count them in the period in which Redis forgot, a life for as
-- long as they are absent.
local function unseen(stem, name, a, cap, hosts)
  local found = redis.call('HMGET', books, 'absent', 'absent_day', 'n_hosts')
  local absent = math.min(number(found[1]), math.max(0, hosts - number(found[3])))
  if absent == 0 or account_of(stem, number(found[2])) ~= name then return 0 end
  local share, known = math.floor(cap / hosts), {}
  for who, nano in pairs(a.by) do
    if redis.call('HEXISTS', books, 'g:' .. who) == 0 then known[#known + 1] = nano end
  end
  table.sort(known) -- names of hosts that are gone for good may be among them: those that had spent least count
  local more = 0
  for i = 1, absent do more = more + math.max(0, share - (known[i] or 0)) end
  return math.max(a.untold, more)
end

-- The scopes that a script is told of: from ARGV `at` on their number, then of each its stem, cap, and what is set
-- aside for when Redis is away. Gives of each its account of a day; spent, with what absent hosts may have; held; and spent by others.
local function scoped(at, day, hosts)
  local found = {}
  for i = 1, tonumber(ARGV[at]) do
    local stem, cap, aside = ARGV[at + 3 * i - 2], tonumber(ARGV[at + 3 * i - 1]), tonumber(ARGV[at + 3 * i])
    local name = account_of(stem, day)
    local a = account(name)
    found[i] = {name = name, spent = a.spent + unseen(stem, name, a, cap, hosts), held = a.held, most = cap - aside,
                others = a.spent - (a.by[host] or 0)}
  end
  return found
end

-- Add to a reply what a scope has beside a call that has spent and holds so much in it.
local function tell(reply, s, spent, held)
  reply[#reply + 1] = int(s.spent - spent)
  reply[#reply + 1] = int(s.held - held)
  reply[#reply + 1] = int(s.others)
end

-- Whether a call's entry names an account.
local function names(e, name)
  return string.find(' ' .. e.accounts .. ' ', ' ' .. name .. ' ', 1, true) ~= nil
end

-- Put a call among the held ones.
local function keep(id, e)
  write(id, e)
  redis.call('ZADD', due, int(e.expires), id)
  if e.slot > 0 then redis.call('ZADD', slots, int(e.slot), id) end
end

-- Take a call from among the held ones; it may be forgotten from `ms` on.
local function drop(id, ms)
  redis.call('ZREM', due, id)
  redis.call('ZREM', slots, id)
  redis.call('ZADD', old, int(ms), id)
end

local function forget()
  local gone = redis.call('ZRANGEBYSCORE', old, '-inf', int(now), 'LIMIT', 0, 8)
  for _, id in ipairs(gone) do
    if string.sub(id, 1, #SCOPE) == SCOPE then
      redis.call('HDEL', scopes, string.sub(id, #SCOPE + 1))
    else
      redis.call('HDEL', holds, id)
    end
    redis.call('ZREM', old, id)
  end
end

local function server_ms() return tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000) end

-- Whether a host tells of scopes just now, a part at a time: so long, what it spent must not move.
local telling = {}
local function tells(who)
  if telling[who] == nil then
    local at = string.match(redis.call('HGET', books, 'w:' .. who) or '', '^%S+ %S+ (%S+)')
    telling[who] = at ~= nil and server_ms() - tonumber(at) < TELLING_MS
  end
  return telling[who]
end

-- Charge every hold that has outlived its lease at its maximum.
local function sweep()
  local of = {}
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', int(now))) do
    local e = read(redis.call('HGET', holds, id))
    if not e then -- somebody deleted it: what it holds stays held for the day
      drop(id, now)
    elseif not tells(e.host) then
      move(e, e.amount, -e.amount)
      e.state, e.charged = EXPIRED, e.amount
      write(id, e)
      if e.accounts ~= '' then
        of[e.host] = of[e.host] or {}
        table.insert(of[e.host], id .. '\n')
      end
      drop(id, (math.max(e.day, today) + KEEP_DAYS + 1) * DAY_MS)
    end
  end
  for who, ids in pairs(of) do
    local name = EXPIRED_OF .. who
    redis.call('HSET', holds, name, (redis.call('HGET', holds, name) or '') .. table.concat(ids))
    redis.call('ZADD', old, int((today + KEEP_DAYS + 1) * DAY_MS), name)
  end
end

local function in_flight()
  redis.call('ZREMRANGEBYSCORE', slots, '-inf', int(now))
  return redis.call('ZCARD', slots)
end

local function totals(day)
  local found = redis.call('HMGET', books, int(day) .. ':s', int(day) .. ':h')
  return number(found[1]), number(found[2])
end

local function wipe() redis.call('UNLINK', books, holds, due, slots, old, scopes) end

local function changed()
  q = q + 1
  redis.call('HSET', books, 'q', int(q))
end

-- Whether another server wrote these books, or this one before it began anew: they may be older than what it has told.
local function is_elsewhere(wrote) return wrote and wrote ~= run and not string.find(run, '^0+$') end

local function ahead() return math.max(tonumber(clock[1]) * 1000000 + tonumber(clock[2]), seen + 1, q + 1) end

-- What such books have of a host stands until it has said it anew; meanwhile they are closed. Hosts' pasts are told once more.
local function distrust()
  local fields = redis.call('HGETALL', books)
  for i = 1, #fields, 2 do
    local name = fields[i]
    local day = string.match(name, '^(%d+):s:%?')
    if day then redis.call('HINCRBY', books, day .. ':s', int(0 - tonumber(fields[i + 1]))) end
    if day or string.find(name, '^[gtw]:') then redis.call('HDEL', books, name) end
  end
  redis.call('HDEL', books, 'open', 'absent', 'absent_day', 'calls', 'mean', 'm2')
  q = ahead()
  redis.call('HSET', books, 'run', run, 'q', int(q), 'born', int(now), 'n_hosts', '0')
end

-- Whether this host's word counts: nil, or the reply that says why not.
local function enter()
  local found = redis.call('HMGET', books, 'q', 'g:' .. host, 'run')
  if not found[1] then return {'cold'} end
  q = tonumber(found[1])
  if is_elsewhere(found[3]) then
    if host == '' then return {'cold'} end
    distrust()
    return {'stale', '0'}
  end
  if q < seen then
    wipe()
    return {'cold'}
  end
  if host ~= '' and (report == 0 or tonumber(found[2] or 0) ~= report) then return {'stale', found[2] or '0'} end
  return nil
end

-- What each host holds today.
local function held_today()
  local by = {}
  for _, id in ipairs(redis.call('ZRANGE', due, 0, -1)) do
    local e = read(redis.call('HGET', holds, id))
    if e and e.day == today then by[e.host] = (by[e.host] or 0) + e.amount end
  end
  return by
end

-- Whether money may be given out: nil, or the reply that says why not. A host that does not report in time
-- counts as having spent its share of the cap, or what others saw of it where that is more.
local function closed(hosts, cap, grace_ms)
  local found = redis.call('HMGET', books, 'open', 'born', 'n_hosts')
  if found[1] then return nil end
  local left = tonumber(found[2]) + grace_ms - now
  if left > 0 then return {'wait', int(left)} end
  local missing, share = math.max(0, hosts - tonumber(found[3])), math.floor(cap / hosts)
  redis.call('HSET', books, 'absent', int(missing), 'absent_day', int(today))
  local fields = redis.call('HGETALL', books)
  local reported = {}
  for i = 1, #fields, 2 do
    local who = string.match(fields[i], '^g:(.+)$')
    if who then reported[who] = true end
  end
  local held = held_today()
  for i = 1, #fields, 2 do
    local day, who = string.match(fields[i], '^(%d+):s:(.+)$')
    if who and tonumber(day) == today and not reported[who] and missing > 0 then
      redis.call('HSETNX', books, int(today) .. ':s:?' .. who, '0')
      spend(today, '?' .. who, math.max(0, share - tonumber(fields[i + 1]) - (held[who] or 0)))
      missing = missing - 1
    end
  end
  spend(today, '?', missing * share)
  redis.call('HSET', books, 'open', '1')
  return nil
end
