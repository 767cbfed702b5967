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
        f"{started}\0{provider}\0{model}\0{_tokens(usage)}\0{'' if cost is None else cost}"
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
    cost = request.cost_pico
    nano = "" if cost is None else half_even(cost, _NANO)
    line = f"{request[2]}\0{request[3]}\0{request[6]}\0{_tokens(request[4])}\0{nano}"
    found = _DIGEST.copy()
    found.update(line.encode())
    return int.from_bytes(found.digest(), "big", signed=True)


def _tokens(usage: Usage) -> str:
    tokens, output, *parts = usage
    return f"{tokens}\0{output}\0{parts}" if any(parts) else f"{tokens}\0{output}"


@lru_cache(maxsize=1 << 16)
def _mix(mix: Mix) -> str:
    return mix.digest.hex
