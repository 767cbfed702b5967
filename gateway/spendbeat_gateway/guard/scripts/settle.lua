-- What was held is given back, what it has cost is taken.
-- ARGV: hold id, nano of the hold, nano that it has cost, the first minus the second, names.
-- Answers 1; 0 where it was settled before; "overflow" where a sum leaves 64 bits.
local id, nano, actual, difference, names = unpack(ARGV)
local known = call('GET', PREFIX .. 'h:' .. id)
local state, held, expires, held_names
if known then
  state, held, expires, held_names = parse(known)
  if state == 'settled' then return 0 end
end
local change = minus(actual)
if state == 'held' then
  if held == nano and held_names == names then
    change = difference
  else
    give_back(held_names, held)
    names = held_names
    -- From here on it is no longer held, whatever comes.
    record(id, 'released', held, expires, held_names, DAY)
  end
  call('ZREM', HOLDS, id)
else
  call('HINCRBY', PREFIX .. 'counts', 'late', 1)
end

local keys, n = counters(names)
local all = warm(keys, n)
for i = 1, n do
  if all or call('EXISTS', keys[i]) == 1 then
    local room = try('HINCRBY', keys[i], 'room', change)
    if type(room) == 'table' then
      for j = 1, i - 1 do
        if all or call('EXISTS', keys[j]) == 1 then
          call('HINCRBY', keys[j], 'room', minus(change))
        end
      end
      if state == 'held' and change == difference then
        call('ZADD', HOLDS, expires, id)
      end
      return 'overflow'
    end
  end
end
for i = 1, n do
  local name = name_of(keys[i])
  if actual ~= '0' then
    local settlements = PREFIX .. 's:' .. name
    call('HSET', settlements, id, actual)
    -- It goes with its counter, which nobody may read any more; who loads that says it anew.
    if call('HLEN', settlements) == 1 then
      local lives = call('PTTL', keys[i])
      if lives == -2 then lives = 8 * DAY end
      if lives > 0 then call('PEXPIRE', settlements, lives) end
    end
  end
  -- Who loads it finds the settlement.
  if not all and call('EXISTS', keys[i]) == 0 then miss(name) end
end
record(id, 'settled', nano, expires or clock(), names, DAY)
return 1
