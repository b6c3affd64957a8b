-- Take one request from the rate, for an answer that costs nothing: layer 1 alone.
-- ARGV 6..: spacing_us, burst. Reply: admitted now q; refused now q tat (the law tells why).
-- A repeat takes another. Source: generic cell rate algorithm, ITU-T I.371.

local spacing, burst = tonumber(ARGV[6]), tonumber(ARGV[7])

local no = enter()
if no then return no end
changed()
local tat = number(redis.call('HGET', books, 'tat'))
local base = math.max(tat, now * 1000)
if base + spacing - spacing * burst - now * 1000 > 0 then return {'refused', int(now), int(q), int(tat)} end
redis.call('HSET', books, 'tat', int(base + spacing))
return {'admitted', int(now), int(q)}
