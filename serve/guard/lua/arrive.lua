-- What a report and the telling of scopes before it share: a host that says where it stands, and how it is let in.
-- ARGV 6..: last report of its that Redis is known to have taken; this one's token; report that has told what scopes spent but
--   for what follows (0: all follows; its own number: scopes were told under it); its earlier name, if it goes on under a new
--   one; then, behind their number, tokens of its reports, of which one must be in force.
-- Replies of `arrive`: newer number (a later report of this host is in force)
--   foreign number (a report is in force that this ledger never made: it went back, or is a copy)
--   whole (Redis lacks what earlier reports told of scopes: all of it is to be told)

local at = 6

local function word()
  at = at + 1
  return ARGV[at - 1]
end

local function list(width)
  local found, n = {}, tonumber(word())
  for _ = 1, n do
    local row = {}
    for i = 1, width do row[i] = word() end
    found[#found + 1] = row
  end
  return found
end

local taken, token, base, was = tonumber(word()), word(), tonumber(word()), word()
local tokens = list(1)
local mine = 0 -- its report in force, of which `arrive` finds the number; 0 if there is none

-- The mark of a telling that goes ahead of this report, to be found again by its next part and by the report itself.
local function mark() return int(report) .. ' ' .. int(mine) .. ' ' .. int(server_ms()) .. ' ' .. token end

-- Whether a mark is of this telling; and the number of the report that was in force before it.
local function is_ours(text)
  local number, before, _, of = string.match(text or '', '^(%S+) (%S+) (%S+) (%S+)$')
  return number == ARGV[3] and of == token, tonumber(before or 0)
end

-- Let this host in: nil, or the reply that says why not. Books that are not there begin.
local function arrive()
  local found = redis.call('HMGET', books, 'q', 'g:' .. host, 't:' .. host, 'run', 'w:' .. host)
  local there, of, told = found[1], found[3], found[5]
  mine = math.abs(tonumber(found[2] or 0))
  q = tonumber(found[1] or 0)
  if there and is_elsewhere(found[4]) then
    distrust()
    of, mine, told = false, 0, nil
  elseif there and (q < seen or (mine > 0 and mine < taken)) then
    wipe()
    there, mine = false, 0
  end
  if there and of then
    local own = false
    for _, row in ipairs(tokens) do own = own or row[1] == of end
    if mine > report or (own and mine == report) then return {'newer', int(mine)} end
    if not own then return {'foreign', int(mine)} end
  end
  local lacks = base > 0 and (not there or mine < base)
  if base == report then lacks = not there or not is_ours(told) end
  if lacks then return {'whole'} end
  if not there then
    q = ahead()
    redis.call('HSET', books, 'run', run, 'q', int(q), 'born', int(now), 'n_hosts', '0')
  end
  return nil
end

-- What the books have of this host's calls goes: those that are held, and those that have expired since it last reported.
-- Its days are told anew; in scopes, what expired is charged no more.
local function clear()
  for _, id in ipairs(redis.call('ZRANGE', due, 0, -1)) do
    local e = read(redis.call('HGET', holds, id))
    if not e then
      drop(id, now)
    elseif e.host == host then
      move(e, 0, -e.amount)
      e.state = DROPPED
      write(id, e)
      drop(id, now + DROPPED_MS)
    end
  end
  for id in string.gmatch(redis.call('HGET', holds, EXPIRED_OF .. host) or '', '[^\n]+') do
    local e = read(redis.call('HGET', holds, id))
    if e and e.state == EXPIRED and e.host == host then
      shift(e, -e.charged, 0)
      e.state, e.charged = DROPPED, 0
      write(id, e)
      drop(id, now + DROPPED_MS)
    end
  end
  redis.call('HDEL', holds, EXPIRED_OF .. host)
  redis.call('ZREM', old, EXPIRED_OF .. host)
end

-- What this host has spent in accounts of scopes, in place of what the books have, ahead of its report or with it; and, where it
-- is the first that they hear of it, how much more it has seen others spend than they have told.
local function set_spent(rows, ahead)
  for _, row in ipairs(rows) do
    local a, nano, seen = account(row[1]), tonumber(row[2]), tonumber(row[3])
    local had, untold = a.by[host] or 0, a.untold
    if mine == 0 then
      untold = math.max(0, untold - nano, seen - (a.spent - had))
    end
    if ahead or nano ~= had or untold ~= a.untold then
      a.by[host], a.untold = nano, untold
      a.told[host] = ahead and ARGV[3] or nil
      put(row[1], a, today)
    end
  end
end
