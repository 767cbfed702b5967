"""Columns find their fields before a row is read, or it is said which do not."""

import pytest

from spend.capture.fields import FIELDS
from spend.capture.mapping import plan
from spend.errors import BadInputError

NEEDED = {"started_at": "2026-01-01", "provider": "p", "model": "m"}


def test_columns_named_as_fields_find_themselves_and_others_are_named() -> None:
    columns = plan(["user", "id", "cost", "started_at"], {"cost_usd": "cost"}, {
        "provider": "p", "model": "m",
    })  # fmt: skip
    found = {f: s for f, s in zip(FIELDS, columns.sources, strict=True) if s is not None}
    assert found == {
        "id": "id", "started_at": "started_at", "cost_usd": "cost", "user_id": "user",
    }  # fmt: skip
    assert columns.ignored == ()
    assert plan(["id", "x", "input_tokens"], {}, NEEDED).ignored == ("x",)


def test_a_constant_wins_over_a_column_of_its_name() -> None:
    columns = plan(["provider", "input_tokens"], {}, NEEDED)
    assert columns.sources[FIELDS.index("provider")] is None
    assert columns.constants[FIELDS.index("provider")] == "p"


@pytest.mark.parametrize(
    ("columns", "maps", "constants", "problem"),
    [
        (["input_tokens"], {}, {}, "model is missing; provider is missing; started_at is missing"),
        (["a"], {}, NEEDED, "neither tokens nor a cost"),
        (["a"], {"input_tokens": "b"}, NEEDED, "input_tokens is mapped to 'b'"),
        (["a"], {"input_tokens": "a", "model": "a"}, NEEDED, "model is both mapped and set"),
        (["a"], {"imput_tokens": "a"}, NEEDED, "no field 'imput_tokens'"),
        (["a"], {"input_tokens": "a"}, {**NEEDED, "colour": "x"}, "no field 'colour'"),
    ],
)
def test_what_does_not_fit_is_said_at_once(
    columns: list[str], maps: dict[str, str], constants: dict[str, str], problem: str
) -> None:
    with pytest.raises(BadInputError, match=problem):
        plan(columns, maps, constants)
