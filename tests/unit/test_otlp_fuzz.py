"""Whatever an exporter sends: requests, verdicts or a refusal, and never another error."""

from contextlib import suppress
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from spend.capture.normalise import Normaliser
from spend.capture.otlp import MalformedError, requests
from spend.capture.otlp.names import KNOWN
from spend.capture.request import Rejected
from tests.support.spans import Made, as_json, export

PROTOBUF, JSON = "application/x-protobuf", "application/json"

VALUES = st.one_of(
    st.text(max_size=8).filter(lambda text: text.isprintable()),
    st.sampled_from(["chat", "openai", "LLM", "gpt-4o", "12", '{"model": 1}', "[", "chatcmpl-7"]),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.lists(st.sampled_from(["a", "project:b", ""]), max_size=3),
)
ATTRIBUTES = st.dictionaries(st.sampled_from(sorted(KNOWN)), VALUES, max_size=12)
SPANS = st.lists(
    st.builds(
        Made,
        ATTRIBUTES,
        number=st.integers(1, 4),
        parent=st.integers(0, 4),
        trace=st.sampled_from(["5b8efff798038103d269b633813fc60c", "0" * 32]),
        start=st.sampled_from([0, 1_793_613_600_250_000_000, 2**64 - 2_000_000]),
        failed=st.booleans(),
    ),
    max_size=5,
)
ODD = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


def plain(found: list[dict[str, object] | Rejected]) -> list[object]:
    return [str(one) if isinstance(one, Rejected) else one for one in found]


@given(SPANS)
def test_any_span_is_a_request_a_verdict_or_nothing(spans: list[Made]) -> None:
    """In both encodings alike; and what is a request, capture can read or says why not."""
    request = export(*spans)
    found = requests(request.SerializeToString(), PROTOBUF)
    assert len(found) <= len(spans)
    assert plain(requests(orjson.dumps(as_json(request)), JSON)) == plain(found)
    normaliser = Normaliser()
    for fields in found:
        if isinstance(fields, dict):
            with suppress(Rejected):
                normaliser.mapping(fields)


@given(st.data())
def test_json_with_something_odd_in_any_place_is_read_or_refused(data: st.DataObject) -> None:
    body = as_json(export(Made({"gen_ai.request.model": "m", "gen_ai.usage.cost": 0.5})))
    path: list[Any] = []
    node: Any = body
    while isinstance(node, dict | list) and node and (not path or data.draw(st.booleans())):
        key = data.draw(st.sampled_from(list(node) if isinstance(node, dict) else range(len(node))))
        path.append((node, key))
        node = node[key]
    owner, key = path[-1]
    owner[key] = data.draw(ODD)
    with suppress(MalformedError):
        requests(orjson.dumps(body), JSON)
