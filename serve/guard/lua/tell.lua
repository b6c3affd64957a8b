-- Tell what a host has spent in accounts of scopes, a part at a time, ahead of its report: where they are too many for one script.
-- The first part takes the host's report out of force, and none of its holds expires, so that nothing moves what is told until the new
-- report is in force. What it holds stays held. ARGV behind those of arrive.lua: whether this is the first part, (account, spent, spent by
-- others when last seen) behind their number. Reply: told

local first, rows = word() == '1', list(3)

if first then
  local no = arrive()
  if no then return no end
  if mine > 0 then redis.call('HSET', books, 'g:' .. host, int(-mine)) end
else
  local found = redis.call('HMGET', books, 'w:' .. host, 'run')
  local ours, before = is_ours(found[1])
  if not ours or is_elsewhere(found[2]) then return {'whole'} end
  mine = before
end
redis.call('HSET', books, 'w:' .. host, mark())
set_spent(rows, true)
return {'told'}
