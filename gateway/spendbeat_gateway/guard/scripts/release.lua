-- Give back what is held.
-- ARGV: hold id. Answers 1, or 0 where nothing is held.
local id = ARGV[1]
expire(clock(), 16)
local known = call('GET', PREFIX .. 'h:' .. id)
if not known then return 0 end
local state, nano, expires, names = parse(known)
if state ~= 'held' then return 0 end
give_back(names, nano)
call('ZREM', HOLDS, id)
record(id, 'released', nano, expires, names, DAY)
return 1
