-- Take a host's position in place of what the books have of it: what it spent, what it holds, its lease.
-- The first report of a host that Redis has forgotten, or whose books went back, begins them anew.
-- ARGV behind those of arrive.lua: hosts, cap, hold's ttl ms, day of the lease, lease kept (within the cap already), lease wanted,
--   tat, calls, mean, m2 of the host's own calls, then four lists, each behind its length: (day, spent), (id, day, amount, expires, state,
--   slot, accounts) of calls that are held or expired, (host, day, nano) that it last saw others have, (account, spent, spent by others when last seen) of scopes.
-- Reply: taken now q open lease, then (host, nano) spent and held by every other host today

local hosts, cap, ttl = tonumber(word()), tonumber(word()), tonumber(word())
local lease_day, kept, wanted = tonumber(word()), tonumber(word()), tonumber(word())
local own_tat, n2, mean2, m22 = tonumber(word()), tonumber(word()), tonumber(word()), tonumber(word())
local LEASE = 'lease:' .. host
local days, calls, peers, budgets = list(2), list(7), list(3), list(3)

local no = arrive()
if no then return no end
if base == report then told_under = ARGV[3] end
telling[host] = false
clear()
sweep()
local others = held_today()
local reported, spent_by = {}, {}
local fields = redis.call('HGETALL', books)
for i = 1, #fields, 2 do
  local who = string.match(fields[i], '^g:(.+)$')
  if who then reported[who] = true end
  local day, spender = string.match(fields[i], '^(%d+):s:(.+)$')
  if spender then
    if spender == host then spend(tonumber(day), host, -tonumber(fields[i + 1])) end
    if tonumber(day) == today then spent_by[spender] = tonumber(fields[i + 1]) end
  end
  local any = string.match(fields[i], '^(%d+):')
  if any and tonumber(any) < today - KEEP_DAYS - 1 then redis.call('HDEL', books, fields[i]) end
end

-- What it says of itself comes.
for _, row in ipairs(days) do spend(tonumber(row[1]), host, tonumber(row[2])) end
for _, row in ipairs(calls) do
  local e = {day = tonumber(row[2]), amount = tonumber(row[3]), expires = tonumber(row[4]),
             state = tonumber(row[5]), charged = 0, slot = tonumber(row[6]), host = host, report = report,
             accounts = row[7]}
  local had = read(redis.call('HGET', holds, row[1]))
  if had and had.state == HELD then move(had, 0, -had.amount) end -- under an earlier name of this ledger
  if had and had.host == host then shift(had, -had.charged, 0) end -- days are told anew, scopes need not be
  if e.state == HELD then
    move(e, 0, e.amount)
    redis.call('ZREM', old, row[1])
    keep(row[1], e)
  else
    e.charged = e.amount
    shift(e, e.charged, 0)
    write(row[1], e)
    drop(row[1], (math.max(e.day, today) + KEEP_DAYS + 1) * DAY_MS)
  end
end
set_spent(budgets, false)
for _, row in ipairs(peers) do
  local who, day, nano = row[1], tonumber(row[2]), tonumber(row[3])
  local more = nano - (spent_by[who] or 0) - (others[who] or 0)
  if not reported[who] and who ~= host and day == today and more > 0 then
    spend(day, who, more)
    spent_by[who] = (spent_by[who] or 0) + more
  end
end

-- A ledger that goes on under a new name is the host that was there.
local renamed = mine == 0 and was ~= '' and redis.call('HDEL', books, 'g:' .. was) == 1
if renamed then redis.call('HDEL', books, 't:' .. was, 'w:' .. was) end
redis.call('HDEL', books, 'w:' .. host)

-- Bucket and past are the tenant's: the bucket's fullest word holds, a host's past is added once.
local a = redis.call('HMGET', books, 'tat', 'calls', 'mean', 'm2')
local tat = math.max(number(a[1]), own_tat)
local n, mean, m2 = number(a[2]), number(a[3]), number(a[4])
if mine == 0 and not renamed and n2 > 0 then
  if n == 0 then
    n, mean, m2 = n2, mean2, m22
  else
    local distance, both = mean2 - mean, n + n2
    mean = mean + distance * n2 / both
    m2 = m2 + m22 + distance * distance * n * n2 / both
    n = both
  end
end
redis.call('HSET', books, 'tat', int(tat), 'calls', int(n), 'mean', real(mean), 'm2', real(m2), 'g:' .. host, int(report), 't:' .. host, token)

local open = redis.call('HGET', books, 'open')
if mine == 0 and not renamed then
  local count = redis.call('HINCRBY', books, 'n_hosts', 1)
  if not open and count >= hosts then
    open = '1'
    redis.call('HSET', books, 'open', '1')
  elseif number(redis.call('HGET', books, 'absent')) > 0 then
    redis.call('HINCRBY', books, 'absent', -1)
  end
  for day = today - 1, today do -- it may be past midnight
    local own, any = '?' .. host, '?'
    local absent = redis.call('HMGET', books, int(day) .. ':s:' .. own, int(day) .. ':s:' .. any)
    if absent[1] then
      spend(day, own, -tonumber(absent[1]))
    else
      spend(day, any, -math.min(number(absent[2]), math.floor(cap / hosts)))
    end
  end
end

-- The lease: what is kept was inside the cap already; more only while there is room for every host's.
local lease = kept
if open and lease_day == today and wanted > kept then
  local spent, held = totals(today)
  lease = kept + math.max(0, math.min(wanted - kept, math.floor((cap - spent - held - kept) / (2 * hosts))))
end
if lease > 0 then
  hold(lease_day, lease)
  redis.call('ZREM', old, LEASE)
  keep(LEASE, {day = lease_day, amount = lease, expires = now + ttl, state = HELD, charged = 0, slot = 0,
              host = host, report = report, accounts = ''})
end
changed()
local reply = {'taken', int(now), int(q), open and '1' or '0', int(lease)}
for who, _ in pairs(spent_by) do others[who] = others[who] or 0 end
for who, held in pairs(others) do
  if who ~= host and string.sub(who, 1, 1) ~= '?' then
    reply[#reply + 1] = who
    reply[#reply + 1] = int(held + (spent_by[who] or 0))
  end
end
return reply
