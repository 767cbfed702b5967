"""Who a request is, and what it says: the hashes that `request_keys` keeps.

All routes share this file: the same id that arrives by a file, by HTTP and from a gateway's
table is one request. Changing a hash would count every known request once more.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from hashlib import blake2b

from spend.attributions import Mix
from spend.capture.request import Request
from spend.pricing import Usage
from spend.pricing.money import half_even

_ID = blake2b(digest_size=16, person=b"spendbeat-id")
_CONTENT = blake2b(digest_size=16, person=b"spendbeat-row")
_DIGEST = blake2b(digest_size=8, person=b"spendbeat-digest")
_integer = int.from_bytes
_NO_PARTS = (0,) * 6
_NANO = 1000  # pico-dollars: routes that carry cost as a float differ below a nano-dollar


def key_of_id(id_: str) -> bytes:
    """The 16 byte key of a request that has an id."""
    return key_of_id_bytes(id_.encode())


def key_of_id_bytes(id_: bytes) -> bytes:
    """The key of a request whose id is these bytes in UTF-8."""
    found = _ID.copy()
    found.update(id_)
    return found.digest()


def keys_of_ids(ids: Iterable[bytes]) -> list[bytes]:
    """key_of_id_bytes() of many."""
    return _each(_ID.copy, ids)


def digests(lines: Iterable[bytes]) -> list[bytes]:
    """digest_bytes() of many."""
    return _each(_DIGEST.copy, lines)


def _each(new: Callable[[], blake2b], lines: Iterable[bytes]) -> list[bytes]:
    found = []
    for line in lines:
        hashed = new()
        hashed.update(line)
        found.append(hashed.digest())
    return found


def key_of_content(request: Request, occurrence: int) -> bytes:
    """The 16 byte key of a request without an id: all that it says, and which of its equals."""
    return numbered(content(request), occurrence)


def content(request: Request) -> bytes:
    """16 bytes of all that a request says, its time to the microsecond included."""
    _, started, provider, model, usage, cost, status, trace, session, end_user, mix, *extras = (
        request
    )
    # No text contains a NUL or is empty, so two different requests never make the same line.
    line = (
        f"{started}\0{counts(usage)}\0{provider}\0{model}\0{status}"
        f"\0{'' if cost is None else cost}"
        f"\0{trace or ''}\0{session or ''}\0{end_user or ''}\0{mix_hex(mix)}"
    )
    if any(extra is not None for extra in extras[1:]):
        line += "".join("\0" if extra is None else f"\0{extra}" for extra in extras[1:])
    return content_bytes(line.encode())


def content_bytes(line: bytes) -> bytes:
    """16 bytes of what content() puts together."""
    found = _CONTENT.copy()
    found.update(line)
    return found.digest()


def numbered(content_hash: bytes, occurrence: int) -> bytes:
    """The key of the n-th (from 0) request of one file with this content."""
    if occurrence == 0:
        return content_hash
    return blake2b(content_hash + occurrence.to_bytes(8, "big"), digest_size=16).digest()


def digest(request: Request) -> int:
    """64 bits (signed) of what does not round on the way: all but times, ids and attribution."""
    says = f"{counts(request.usage)}\t{request.provider}\t{request.model}\t{request.status}"
    return digest_of(says, request.cost_pico)


def digest_of(says: str, cost_pico: int | None) -> int:
    """The digest of what digest() puts together."""
    line = f"{says}\t{nano(cost_pico)}"
    return _integer(digest_bytes(line.encode()), "little", signed=True)


def digest_bytes(line: bytes) -> bytes:
    """The digest as its 8 bytes, the lowest first."""
    found = _DIGEST.copy()
    found.update(line)
    return found.digest()


def nano(cost_pico: int | None) -> str:
    """A given cost in nano-dollars, the way it goes into a digest."""
    return "" if cost_pico is None else str(half_even(cost_pico, _NANO))


def counts(usage: Usage) -> str:
    """The token counts in the order of models.TOKEN_CLASSES, with tabs between."""
    if usage[2:] == _NO_PARTS:
        return f"{usage[0]}\t{usage[1]}\t0\t0\t0\t0\t0\t0"
    return "%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d" % usage  # noqa: UP031 - the fastest way


@lru_cache(maxsize=1 << 16)
def mix_hex(mix: Mix) -> str:
    """A combination of attribution fields, the way it goes into a content."""
    return mix.digest.hex
