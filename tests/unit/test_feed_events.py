"""What a bound listener is told of a batch, compared with what Binding.matches says."""

from datetime import UTC, datetime
from itertools import product

from spend.feed import Entry
from spend.feed_events import told
from spend.tenancy import Binding

NAMES = ("organization", "team", "api_key")
SHARES = list(product(("a", "b", None), repeat=3))
BATCH = Entry(
    1,
    "spend",
    datetime(2026, 1, 1, tzinfo=UTC),
    {
        "provider": "openai",
        "counted_to": None,
        "lines": [[*share, 1, 0, str(2**place)] for place, share in enumerate(SHARES)],
        "rest": None,
    },
)


def test_a_bound_listener_gets_exactly_the_lines_that_its_binding_matches() -> None:
    for named in product(("a", None), repeat=3):
        if not any(named):
            continue
        binding = Binding(*named)
        mine = [share for share in SHARES if binding.matches(*share)]
        data = told(BATCH, binding)
        assert data is not None
        assert [tuple(line[name] for name in NAMES) for line in data["lines"]] == mine
        assert data["total_cost"] == str(sum(2 ** SHARES.index(share) for share in mine))
