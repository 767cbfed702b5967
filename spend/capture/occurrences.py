"""Which of its equals in one file a row is: 0 for the first, 1 for the second, ..."""

_BUCKETS = 1 << 16
_REST = 6  # bytes kept of a hash besides the two that choose its bucket


class Occurrences:
    """Counts equal contents in about 8 bytes per distinct one (a set of ints takes 90).

    The hashes are cut to 64 bits: two different rows of ten million share them once in 300,000
    files. The second then has occurrence 1, in every import of that file, which is harmless.
    """

    def __init__(self) -> None:
        self._buckets: list[bytearray | None] = [None] * _BUCKETS
        self._repeats: dict[bytes, int] = {}

    def next(self, content: bytes) -> int:
        """How often this content was met before; `content` has at least 8 bytes."""
        where = content[0] << 8 | content[1]
        rest = content[2 : 2 + _REST]
        bucket = self._buckets[where]
        if bucket is None:
            self._buckets[where] = bytearray(rest)
            return 0
        found = bucket.find(rest)
        while found >= 0 and found % _REST:  # the end of one hash and the beginning of the next
            found = bucket.find(rest, found + 1)
        if found < 0:
            bucket += rest
            return 0
        count = self._repeats.get(content, 0) + 1
        self._repeats[content] = count
        return count
