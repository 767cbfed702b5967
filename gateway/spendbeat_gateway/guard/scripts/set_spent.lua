-- Put what Postgres says into a counter, unless it has that from a newer reading.
-- ARGV: epoch, name, reading, spent, limit ("" for none), soft ("" for none), time in ms at which
--   the counter goes ("" for never), hold ids whose settlements are in `spent` ...
-- Answers 1; 0 where a newer reading is there, or might have been: Redis has lost its data since
--   the reading began; "overflow" where a sum leaves 64 bits.
local epoch, name, reading, spent, limit, soft, goes = unpack(ARGV, 1, 7)
if call('GET', PREFIX .. 'epoch') ~= epoch then return 0 end
local key, settlements = PREFIX .. 'c:' .. name, PREFIX .. 's:' .. name
-- What there is no limit for has the room of $4.6 billion, half of what 64 bits can hold.
local function or_none(amount)
  return amount == '' and '4611686018427387904' or amount
end

expire(clock(), 16)
local old = call('HMGET', key, 'reading', 'limit', 'spent', 'room', 'epoch')
-- Numbers of an earlier epoch say nothing: Postgres may have been restored from a backup.
if old[1] and old[5] == epoch and tonumber(old[1]) >= tonumber(reading) then return 0 end

-- What makes it larger first, so that no sum leaves 64 bits unless the result does.
local steps
local covered = {}
for i = 8, #ARGV do
  local nano = call('HGET', settlements, ARGV[i])
  if nano then covered[#covered + 1] = { ARGV[i], nano } end
end
if old[1] then
  steps = { old[4], old[3] }
  for _, one in ipairs(covered) do steps[#steps + 1] = one[2] end
  steps[#steps + 1] = minus(or_none(old[2]))
  steps[#steps + 1] = or_none(limit)
else
  steps = { or_none(limit) }
  local is_covered = {}
  for _, one in ipairs(covered) do is_covered[one[1]] = true end
  local all = call('HGETALL', settlements)
  for i = 1, #all, 2 do
    if not is_covered[all[i]] then steps[#steps + 1] = minus(all[i + 1]) end
  end
  -- It was there and went alone, so holds may be open that have it.
  if call('SISMEMBER', PREFIX .. 'loaded', name) == 1 then
    for _, id in ipairs(call('ZRANGE', HOLDS, 0, -1)) do
      local known = call('GET', PREFIX .. 'h:' .. id)
      if known then
        local state, nano, _, names = parse(known)
        if state == 'held' and string.find(' ' .. names .. ' ', ' ' .. name .. ' ', 1, true) then
          steps[#steps + 1] = minus(nano)
        end
      end
    end
  end
end
steps[#steps + 1] = minus(spent)

local function sum(field, amounts)
  call('HDEL', key, field)
  for _, amount in ipairs(amounts) do
    if type(try('HINCRBY', key, field, amount)) == 'table' then
      call('HDEL', key, field)
      return nil
    end
  end
  local found = call('HGET', key, field)
  call('HDEL', key, field)
  return found
end

local room = sum('sum', steps)
local line = soft == '' and '' or sum('sum', { or_none(limit), minus(soft) })
if not room or not line then return 'overflow' end
for _, one in ipairs(covered) do call('HDEL', settlements, one[1]) end
call('HSET', key, 'limit', limit, 'soft', soft, 'spent', spent, 'reading', reading, 'room', room,
  'line', line, 'epoch', epoch)
if goes ~= '' then
  call('PEXPIREAT', key, goes)
  call('PEXPIREAT', settlements, goes)
else
  call('PERSIST', key)
  call('PERSIST', settlements)
end
call('SADD', PREFIX .. 'loaded', name)
return 1
