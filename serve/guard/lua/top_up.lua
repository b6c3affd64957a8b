-- Raise a hold to an amount, or renew it; an expired one becomes live again.
-- ARGV 6..: request id, amount, cap, hold's ttl ms, slot's lease ms, hosts, grace ms, scopes.
-- Reply: raised now q amount
--        refused now q spent held, then the call's entry, then of each scope what is spent, held, and spent by others (the law tells why)
--        over now q (the id is settled or unknown)

local id, amount, cap = ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8])
local ttl, lease, hosts, grace = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12])

local no = enter() or closed(hosts, cap, grace)
if no then return no end
sweep()
changed()
local e = known_of(id)
if not e or e.state == SETTLED or e.state == DROPPED then return {'over', int(now), int(q)} end
local target, was_held = math.max(amount, e.amount), 0
if e.state == HELD then was_held = e.amount end
local spent, held = totals(e.day)
if target > e.amount then
  local of = scoped(13, e.day, hosts)
  local narrow, unasked = spent - e.charged + held - was_held + target > cap, 0
  for _ in string.gmatch(e.accounts, '%S+') do unasked = unasked + 1 end
  for _, s in ipairs(of) do
    if names(e, s.name) then
      unasked = unasked - 1
      narrow = narrow or s.spent - e.charged + s.held - was_held + target > s.most
    end
  end
  narrow = narrow or unasked > 0
  if narrow then
    local reply = {'refused', int(now), int(q), int(spent), int(held), text_of(e)}
    for _, s in ipairs(of) do tell(reply, s, 0, 0) end
    return reply
  end
end
move(e, -e.charged, target - was_held)
redis.call('ZREM', old, id)
e.amount, e.expires, e.slot, e.state, e.charged = target, now + ttl, now + lease, HELD, 0
keep(id, e)
return {'raised', int(now), int(q), int(target)}
