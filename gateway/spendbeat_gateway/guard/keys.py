"""Names in Redis. One hash tag, so that all of them are in one slot of a cluster."""

PREFIX = "{spendbeat}:guard:"
RULES = PREFIX + "rules"
VERSION = PREFIX + "version"
HOLDS = PREFIX + "holds"
WANTED = PREFIX + "wanted"
BELL = PREFIX + "bell"
EPOCH = PREFIX + "epoch"
LOADED = PREFIX + "loaded"
COUNTS = PREFIX + "counts"


def counter(name: str) -> str:
    return f"{PREFIX}c:{name}"


def settled(name: str) -> str:
    return f"{PREFIX}s:{name}"


def hold(name: str) -> str:
    return f"{PREFIX}h:{name}"
