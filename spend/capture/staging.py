"""Requests of one batch, given their identity and price and encoded for COPY."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spend.attributions import Mix
from spend.capture import identity
from spend.capture.occurrences import Occurrences
from spend.capture.request import Request
from spend.pricing import Origin, PriceBook

# NULL is nothing at all between two tabs, since no text of a request is empty.
COPY = (
    "COPY staged_requests (line, key, digest, started_us, attribution_id, price_version_id,"
    " input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens,"
    " reasoning_tokens, audio_input_tokens, audio_output_tokens, provider, model, status, cost_usd,"
    " request_id, trace_id, session_id, end_user) FROM STDIN WITH (NULL '')"
)
_TABS = 7  # between the text columns, unless a text has one itself
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
# Routes may round a time, but not by more.
CLOSE_US = 2_000_000

OTHER_CONTENT = "this id is known with other content"
OTHER_TIME = "this id is known with another time"


@dataclass(frozen=True, slots=True)
class Conflict:
    """The index in its batch of a request whose id is known for something else, and why."""

    index: int
    reason: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows with distinct keys, encoded; and what was found out on the way."""

    rows: int
    data: bytes
    known: int
    conflicts: tuple[Conflict, ...]
    unpriced: int


class Stager:
    """Gives requests their key, digest and price; remembers what it must over all batches."""

    def __init__(self, book: PriceBook) -> None:
        self._book = book
        self._occurrences = Occurrences()

    def stage(
        self,
        requests: Sequence[Request],
        attributions: Mapping[Mix, int],
        versions: Mapping[Origin, int],
    ) -> Batch:
        """Encode a batch; equal keys within it are settled here, so that keys are distinct."""
        price = self._book.price
        seen: dict[bytes, tuple[int, int]] = {}
        lines: list[str] = []
        conflicts: list[Conflict] = []
        known = unpriced = 0
        for index, request in enumerate(requests):
            id_, started, provider, model, usage, given, status, _, _, _, mix = request
            key = identity.key_of_id(id_) if id_ is not None else self._anonymous(request)
            digest = identity.digest(request)
            if key in seen:
                conflict = _compare(index, (digest, started), seen[key])
                known += conflict is None
                conflicts += [conflict] if conflict else []
                continue
            seen[key] = digest, started
            pico, origin = price(provider, model, started, usage, status=status, given=given)
            unpriced += pico is None
            version = versions[origin]
            lines.append(_line(index, key, digest, request, attributions[mix], version, pico))
        data = ("\n".join(lines) + "\n").encode() if lines else b""
        return Batch(len(lines), data, known, tuple(conflicts), unpriced)

    def _anonymous(self, request: Request) -> bytes:
        content = identity.content(request)
        return identity.numbered(content, self._occurrences.next(content))


def _compare(index: int, found: tuple[int, int], first: tuple[int, int]) -> Conflict | None:
    """How a request differs from the one that has its key: (digest, started_us) of both."""
    if found[0] != first[0]:
        return Conflict(index, OTHER_CONTENT)
    if abs(found[1] - first[1]) > CLOSE_US:
        return Conflict(index, OTHER_TIME)
    return None


def _line(  # noqa: PLR0917 - called once per row: keywords would cost a tenth of it
    index: int,
    key: bytes,
    digest: int,
    request: Request,
    attribution: int,
    version: int,
    pico: int | None,
) -> str:
    """One line of COPY's text format, without its end."""
    id_, started, provider, model, usage, _, status, trace, session, end_user, _ = request
    tokens, output, read, write, write_1h, reasoning, audio_in, audio_out = usage
    texts = (
        f"{provider}\t{model}\t{status}\t{'' if pico is None else f'{pico}e-12'}"
        f"\t{id_ or ''}\t{trace or ''}\t{session or ''}\t{end_user or ''}"
    )
    if "\\" in texts or "\n" in texts or "\r" in texts or texts.count("\t") != _TABS:
        cost = "" if pico is None else f"{pico}e-12"
        columns = (provider, model, status, cost, id_, trace, session, end_user)
        texts = "\t".join((column or "").translate(_ESCAPES) for column in columns)
    return (
        f"{index}\t{key.hex()}\t{digest}\t{started}\t{attribution}\t{version}"
        f"\t{tokens}\t{output}\t{read}\t{write}\t{write_1h}\t{reasoning}\t{audio_in}\t{audio_out}"
        f"\t{texts}"
    )
