"""Which requests are the same, and which say the same."""

import random

from hypothesis import given
from hypothesis import strategies as st

from spend.attributions import Mix
from spend.capture import identity
from spend.capture.occurrences import Occurrences
from spend.capture.request import Request
from spend.pricing import Usage

ONE = Request(
    "chatcmpl-1", 1_700_000_000_000_000, "openai", "gpt-4o", Usage(10, 20), None, "success"
)


def test_hashes_stay_what_they_are() -> None:
    """They are stored: a change would count every known request once more."""
    assert identity.key_of_id("chatcmpl-1").hex() == "23ae6b6f01f8c73288be8b044a0d23c7"
    assert identity.content(ONE).hex() == "ea79ffe1305a8e3d136dc1040cae1a15"
    assert identity.digest(ONE) == -882195041311244231
    assert str(Mix(project="p", tags=("a", "b")).digest) == "ddde2e46-2540-4da4-70a9-35ffb4aee93e"


def test_the_key_of_a_content_covers_everything_but_the_id() -> None:
    others = [
        ONE._replace(started_us=ONE.started_us + 1),
        ONE._replace(provider="azure"),
        ONE._replace(model="gpt-4"),
        ONE._replace(usage=Usage(10, 21)),
        ONE._replace(usage=Usage(10, 20, 1)),
        ONE._replace(cost_pico=0),
        ONE._replace(status="failure"),
        ONE._replace(trace_id="t"),
        ONE._replace(session_id="t"),
        ONE._replace(end_user="t"),
        ONE._replace(mix=Mix(project="p")),
        ONE._replace(mix=Mix(sprint="p")),
        ONE._replace(mix=Mix(tags=("p",))),
    ]
    assert len({identity.content(request) for request in (ONE, *others)}) == 1 + len(others)
    assert identity.content(ONE._replace(id=None)) == identity.content(ONE)


def test_a_digest_leaves_out_what_rounds_on_the_way() -> None:
    same = [
        ONE._replace(started_us=ONE.started_us + 400_000),
        ONE._replace(trace_id="t", id="other", mix=Mix(project="p")),
    ]
    assert {identity.digest(request) for request in same} == {identity.digest(ONE)}
    priced = ONE._replace(cost_pico=1_234_567_000_100)
    assert identity.digest(priced) == identity.digest(ONE._replace(cost_pico=1_234_567_000_000))
    assert identity.digest(priced) != identity.digest(ONE._replace(cost_pico=1_234_568_000_000))
    assert identity.digest(ONE._replace(usage=Usage(11, 20))) != identity.digest(ONE)


def test_equal_contents_of_one_file_have_keys_of_their_own() -> None:
    assert len({identity.key_of_content(ONE, n) for n in range(5)}) == 5


def test_a_digest_fits_a_bigint() -> None:
    digests = [identity.digest(ONE._replace(model=f"m{n}")) for n in range(200)]
    assert all(-(1 << 63) <= digest < 1 << 63 for digest in digests)
    assert min(digests) < 0 < max(digests)


@given(st.lists(st.integers(0, 30)))
def test_occurrences_count_as_a_plain_count_does(numbers: list[int]) -> None:
    occurrences, seen = Occurrences(), dict.fromkeys(range(31), 0)
    for number in numbers:
        # Few buckets, and bytes that also match where one hash ends and the next begins.
        content = bytes([0, number % 2]) + bytes([number % 3]) * 5 + bytes([number]) * 9
        assert occurrences.next(content) == seen[number]
        seen[number] += 1


def test_occurrences_of_many_contents() -> None:
    occurrences, draw = Occurrences(), random.Random(1)
    contents = [draw.randbytes(16) for _ in range(20_000)]
    assert {occurrences.next(content) for content in contents} == {0}
    assert {occurrences.next(content) for content in contents} == {1}
