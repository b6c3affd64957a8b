-- Which accounts of scopes nobody has any more. ARGV 6..: accounts. Reply: gone ACCOUNT...; wait where not all hosts have told
-- what they have, so that an account may be missing and not be over.

local no = enter()
if no then return no end
if not redis.call('HGET', books, 'open') then return {'wait', '0'} end
local reply = {'gone'}
for i = 6, #ARGV do
  if redis.call('HEXISTS', scopes, ARGV[i]) == 0 then reply[#reply + 1] = ARGV[i] end
end
return reply
