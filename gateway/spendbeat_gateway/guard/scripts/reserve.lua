-- Keep room in all counters, or in none.
-- ARGV: hold id, nano, lifetime in ms, version of the rules, names of counters ("NAME NAME"),
--   requests per minute ("LIMITER=MOST LIMITER=MOST=POSITION"; with a position of a counter, only
--   when that one is above its soft limit)
-- Answers the time of expiry in ms, or a text: "again RECORD", "stale", "cold NAME ...",
--   "budget POSITION ROOM LIMIT", "rate LIMITER MILLISECONDS", "throttle POSITION MILLISECONDS".
local id, nano, lifetime, version, names, limits = unpack(ARGV)
local now = clock()
local expires = now + tonumber(lifetime)
expire(now, 16)

local known = call('MGET', PREFIX .. 'version', PREFIX .. 'h:' .. id)
if known[1] ~= version then
  if known[1] then return 'stale' end
  miss('rules')
  return 'cold rules'
end
if known[2] then
  local state, _, ends = parse(known[2])
  if state == 'settled' or (state == 'held' and ends > now) then return 'again ' .. known[2] end
  if state == 'held' then over(id, known[2]) end
end

local keys, n = counters(names)

local function cold()
  local answer = 'cold'
  for _, key in ipairs(keys) do
    if call('EXISTS', key) == 0 then
      miss(name_of(key))
      answer = answer .. ' ' .. name_of(key)
    end
  end
  return answer
end

local function take_back(taken)
  for i = 1, taken do call('HINCRBY', keys[i], 'room', nano) end
end

local function refuse(reason, answer)
  call('HINCRBY', PREFIX .. 'counts', 'refused:' .. reason, 1)
  return reason .. ' ' .. answer
end

-- A limiter lists the times of its last requests: the one that was MOST requests ago has to be a
-- minute old. Milliseconds to wait, or nil.
local used = {}
local function wait(limiter, most)
  local key = PREFIX .. 'r:' .. limiter
  if most > 0 then
    local last = call('LINDEX', key, -most)
    -- A clock that was put back does not stop a minute for longer than one.
    if not last or now - last >= 60000 or last - now > 60000 then
      used[#used + 1] = { key, most }
      return nil
    end
    return last + 60000 - now
  end
  return 60000
end

local throttles = {}
for word in string.gmatch(limits, '%S+') do
  local limiter, most, position = string.match(word, '^([^=]+)=(%d+)=?(%d*)$')
  if position == '' then
    local ms = wait(limiter, tonumber(most))
    if ms then return refuse('rate', limiter .. ' ' .. ms) end
  else
    throttles[#throttles + 1] = { limiter, tonumber(most), tonumber(position) }
  end
end

-- A counter that is missing would begin at zero and end below it, unless nothing is taken.
if nano == '0' and not warm(keys, n) then return cold() end
local debit = minus(nano)
for i = 1, n do
  local room = try('HINCRBY', keys[i], 'room', debit)
  -- It is an error where the room is already below zero and the sum leaves 64 bits.
  local failed = type(room) == 'table'
  if failed or room < 0 then
    take_back(failed and i - 1 or i)
    local tightest, least
    for j = 1, n do
      local other = call('HMGET', keys[j], 'room', 'limit')
      if not other[2] then
        call('DEL', keys[j])
      elseif not least or less(other[1], least[1]) then
        tightest, least = j, other
      end
    end
    if not warm(keys, n) then return cold() end
    return refuse('budget', tightest .. ' ' .. least[1] .. ' ' .. least[2])
  end
end

for _, throttle in ipairs(throttles) do
  local limiter, most, position = unpack(throttle)
  local found = call('HMGET', keys[position], 'room', 'line')
  if found[2] and found[2] ~= '' and less(found[1], found[2]) then
    local ms = wait(limiter, most)
    if ms then
      take_back(n)
      return refuse('throttle', position .. ' ' .. ms)
    end
  end
end

for _, limiter in ipairs(used) do
  call('RPUSH', limiter[1], now)
  call('LTRIM', limiter[1], -limiter[2], -1)
  call('PEXPIRE', limiter[1], 60000)
end
-- Long enough for a system that sleeps: without the record nobody knows what to give back.
record(id, 'held', nano, expires, names, lifetime + 30 * DAY)
call('ZADD', HOLDS, expires, id)
return expires
