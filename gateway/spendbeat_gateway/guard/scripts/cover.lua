-- Settlements that a reading which is there covers: those that did not fit into its set_spent.
-- ARGV: name, reading, hold ids ... Answers how many there were.
local name, reading = ARGV[1], ARGV[2]
local key, settlements = PREFIX .. 'c:' .. name, PREFIX .. 's:' .. name
local have = call('HGET', key, 'reading')
if not have or tonumber(have) < tonumber(reading) then return 0 end
local n = 0
for i = 3, #ARGV do
  local nano = call('HGET', settlements, ARGV[i])
  if nano then
    call('HINCRBY', key, 'room', nano)
    call('HDEL', settlements, ARGV[i])
    n = n + 1
  end
end
return n
