-- Put in front of every script. Amounts are nano-dollars as decimal texts and are added by
-- HINCRBY, in 64 bits; a Lua number is a double, whose sign is right where its last digits are not.
--
-- c:NAME  hash: limit, soft, spent, reading, and room = limit - spent - settled - held
-- s:NAME  hash: hold id -> nano-dollars settled that `spent` does not cover; their sum is settled
-- h:ID    "STATE NANO EXPIRES NAME NAME ...", STATE held, settled, released or expired
local PREFIX = '{spendbeat}:guard:'
local HOLDS = PREFIX .. 'holds'
local DAY = 86400000
local call, try = redis.call, redis.pcall

local function clock()
  local time = call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function parse(record)
  local state, nano, expires, names = string.match(record, '^(%S+) (%S+) (%S+) ?(.*)$')
  return state, nano, tonumber(expires), names
end

local function record(id, state, nano, expires, names, lives)
  -- Milliseconds have 13 digits, and Lua writes 14.
  call('SET', PREFIX .. 'h:' .. id, state .. ' ' .. nano .. ' ' .. expires .. ' ' .. names, 'PX', lives)
end

local function minus(nano)
  if nano == '0' then return nano end
  if string.sub(nano, 1, 1) == '-' then return string.sub(nano, 2) end
  return '-' .. nano
end

-- Keys of counters.
local function counters(names)
  local keys, n = {}, 0
  for name in string.gmatch(names, '%S+') do
    n = n + 1
    keys[n] = PREFIX .. 'c:' .. name
  end
  return keys, n
end

-- Whether all are there: a counter is never begun by an amount.
local function warm(keys, n)
  return n == 0 or call('EXISTS', unpack(keys)) == n
end

-- Give room back in those counters that are there.
local function give_back(names, nano)
  local keys, n = counters(names)
  local all = warm(keys, n)
  for _, key in ipairs(keys) do
    if all or call('EXISTS', key) == 1 then call('HINCRBY', key, 'room', nano) end
  end
end

local function over(id, held)
  local _, nano, expires, names = parse(held)
  give_back(names, nano)
  call('ZREM', HOLDS, id)
  record(id, 'expired', nano, expires, names, DAY)
  call('HINCRBY', PREFIX .. 'counts', 'expired', 1)
end

-- Holds whose time is over, at most so many.
local function expire(now, most)
  local ids = call('ZRANGEBYSCORE', HOLDS, '-inf', now, 'LIMIT', 0, most)
  for _, id in ipairs(ids) do
    local held = call('GET', PREFIX .. 'h:' .. id)
    if held and string.sub(held, 1, 5) == 'held ' then
      over(id, held)
    else
      call('ZREM', HOLDS, id)
    end
  end
  return #ids
end

-- Say that somebody misses something, and wake who loads it.
local function miss(name)
  call('SADD', PREFIX .. 'wanted', name)
  if call('LLEN', PREFIX .. 'bell') == 0 then call('LPUSH', PREFIX .. 'bell', '1') end
end

local function name_of(key)
  return string.sub(key, #PREFIX + 3)
end

-- Whether a < b, of whole numbers as texts.
local function less(a, b)
  local below_a, below_b = string.sub(a, 1, 1) == '-', string.sub(b, 1, 1) == '-'
  if below_a ~= below_b then return below_a end
  if below_a then a, b = b, a end
  if #a ~= #b then return #a < #b end
  return a < b
end
