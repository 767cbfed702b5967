"""Who a request is, and what it says: the hashes that `request_keys` keeps.

All routes share this file: the same id that arrives by a file, by HTTP and from a gateway's
table is one request. Changing a hash would count every known request once more.
"""

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
    found = _ID.copy()
    found.update(id_.encode())
    return found.digest()


def key_of_content(request: Request, occurrence: int) -> bytes:
    """The 16 byte key of a request without an id: all that it says, and which of its equals."""
    return numbered(content(request), occurrence)


def content(request: Request) -> bytes:
    """16 bytes of all that a request says, its time to the microsecond included."""
    id_, started, provider, model, usage, cost, status, trace, session, end_user, mix = request
    del id_
    # No text contains a NUL or is empty, so two different requests never make the same line.
    line = (
        f"{started}\0{provider}\0{model}\0{counts(usage)}\0{'' if cost is None else cost}"
        f"\0{status}\0{trace or ''}\0{session or ''}\0{end_user or ''}\0{_mix(mix)}"
    )
    found = _CONTENT.copy()
    found.update(line.encode())
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
    nano = "" if cost_pico is None else half_even(cost_pico, _NANO)
    found = _DIGEST.copy()
    found.update(f"{says}\t{nano}".encode())
    return _integer(found.digest(), "big", signed=True)


def counts(usage: Usage) -> str:
    """The token counts in the order of models.TOKEN_CLASSES, with tabs between."""
    if usage[2:] == _NO_PARTS:
        return f"{usage[0]}\t{usage[1]}\t0\t0\t0\t0\t0\t0"
    return "%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d" % usage  # noqa: UP031 - the fastest way


@lru_cache(maxsize=1 << 16)
def _mix(mix: Mix) -> str:
    return mix.digest.hex
