-- Tell what a host has spent in accounts of scopes, a part at a time, before its report: where they are too many for one script.
-- The first part takes the host's report out of force, so that nothing moves what is told until the new one is in force.
-- ARGV behind those of arrive.lua: whether this is the first part, (account, spent, spent by others when last seen) behind their number. Reply: told

local first, rows = word() == '1', list(3)

if first then
  local no = arrive()
  if no then return no end
  clear()
  if mine > 0 then redis.call('HSET', books, 'g:' .. host, int(-mine)) end
  redis.call('HSET', books, 'w:' .. host, int(report))
else
  local found = redis.call('HMGET', books, 'w:' .. host, 'run')
  if found[1] ~= ARGV[3] or is_elsewhere(found[2]) then return {'whole'} end
end
set_spent(rows)
return {'told'}
