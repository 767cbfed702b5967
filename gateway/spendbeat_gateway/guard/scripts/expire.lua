-- Holds whose time is over. ARGV: how many at most. Answers how many there were.
return expire(clock(), tonumber(ARGV[1]))
