"""A request's body: received, unpacked and parsed, each within its bound."""

import asyncio
import zlib
from typing import Any

import orjson
from starlette.requests import ClientDisconnect, Request

from web.refusals import Refusal, gone, invalid, too_large, too_slow, unsupported

JSON = "application/json"
NDJSON = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})
_BODY_SECONDS = 60.0
_MIB = 1 << 20
_GZIP = 16 + zlib.MAX_WBITS
_PIECE = 1 << 20


def content_type(request: Request) -> str:
    """The media type without its parameters, in small letters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def received(request: Request, most: int) -> bytes:
    """The body as it was sent, at most `most` bytes. Raises Refusal."""
    limit = f"The limit is {_size(most)} as sent; send less at a time."
    said = request.headers.get("content-length", "")
    if said.isdigit() and int(said) > most:
        raise too_large(f"The body is {_size(int(said))}. {limit}")
    found = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for piece in request.stream():
                found += piece
                if len(found) > most:
                    raise too_large(f"The body is too large. {limit}")
    except TimeoutError:
        raise too_slow(_BODY_SECONDS) from None
    except ClientDisconnect:
        raise gone() from None
    return bytes(found)


def unpacked(body: bytes, encoding: str, most: int) -> bytes:
    """The body without its Content-Encoding; stops as soon as more than `most` bytes come out."""
    encoding = encoding.strip().lower()
    if encoding in {"", "identity"}:
        if len(body) > most:
            raise _too_much(most)
        return body
    if encoding not in {"gzip", "x-gzip"}:
        raise unsupported(f"Content-Encoding can be gzip, not {encoding!r:.40}.")
    try:
        return _gunzipped(body, most)
    except zlib.error:
        raise invalid("The body is said to be gzip and is not, or is damaged.") from None


def _gunzipped(body: bytes, most: int) -> bytes:
    found = bytearray()
    rest = body
    while rest:
        # A gzip file may consist of several, one after the other.
        member = zlib.decompressobj(_GZIP)
        while not member.eof:
            piece = member.decompress(rest, _PIECE)
            found += piece
            if len(found) > most:
                raise _too_much(most)
            rest = member.unconsumed_tail
            if not piece and not rest and not member.eof:
                raise invalid("The body is gzip that ends too early.")
        rest = member.unused_data
    return bytes(found)


def _too_much(most: int) -> Refusal:
    return too_large(f"The body is more than {_size(most)} unpacked; send less at a time.")


def parsed(body: bytes, kind: str) -> list[Any]:
    """The items of a JSON array, a single item, or of lines of JSON. Raises Refusal.

    `{"events": [...]}` is its array. Lines are also understood where they are called
    application/json, since LiteLLM's logger calls them that.
    """
    if kind in NDJSON:
        return _lines(body)
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if _looks_like_lines(body):
            return _lines(body)
        raise invalid(f"The body is not JSON: {error}.") from None
    if isinstance(found, dict) and "events" in found:
        if len(found) > 1 or not isinstance(found["events"], list):
            raise invalid('The body must be {"events": [...]}, a list or one event.')
        found = found["events"]
    return found if isinstance(found, list) else [found]


def _looks_like_lines(body: bytes) -> bool:
    first, newline, rest = body.strip().partition(b"\n")
    if not newline or not rest:
        return False
    try:
        return isinstance(orjson.loads(first), dict)
    except orjson.JSONDecodeError:
        return False


def _lines(body: bytes) -> list[Any]:
    found = []
    for number, line in enumerate(body.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            found.append(orjson.loads(line))
        except orjson.JSONDecodeError as error:
            raise invalid(f"Line {number} is not JSON: {error}.") from None
    return found


def _size(count: int) -> str:
    return f"{count / _MIB:,.1f} MiB" if count % _MIB else f"{count // _MIB:,} MiB"
