-- Say that something is missing. ARGV: its name.
miss(ARGV[1])
return 1
