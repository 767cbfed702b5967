"""Requests made from the service's own description, and answers that fit it."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode, Response, SerializationContext
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi import checks

from tests.support.worlds import DAYS, FIELDS, MARKS, World

load_all_checks()
# Every answer is one that the description knows there, in its form.
_FITS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
# The one answers for as long as somebody listens, the other by the age of the last tick.
_APART = frozenset({"GET /events", "GET /ready"})
_POSITIVE = [GenerationMode.POSITIVE]

Operation = APIOperation[Any, Any, Any, Any]

_USUAL = {
    "by": ["provider", "organization,team", "tag", "tag:env", ",".join(FIELDS[:6])],
    "limit": ["1", "5", "500"],
    "from": ["2026-01-01", "2026-11-01T00:00:00Z"],
    "to": ["2100-01-01"],
    "start_date": [DAYS[0]],
    "end_date": [DAYS[1]],
    "format": ["csv", "json"],
    "zone": ["Asia/Kathmandu", "UTC"],
    "money": ["number"],
    "status": ["success", "failure", "true"],
    "kinds": ["spend", "alert", "spend,alert"],
    "id": ["1", "2", "3", "9", "10", "12", "25"],
    "which": [str(number) for number in range(1, 5)],
    "provider": ["openai"],
    "model": ["gpt-4o"],
    "page": ["1", "2"],
}
# Parameters that name what has another name with us.
_CALLED = {
    "organization_id": "organization",
    "organization_ids": "organization",
    "team_id": "team",
    "team_ids": "team",
    "internal_user_id": "user_id",
    "tags": "tag",
}


@schemathesis.serializer("application/x-ndjson", "application/x-protobuf")
def _as_it_is(context: SerializationContext, value: Any) -> Any:
    """Bodies that are no JSON: texts and bytes as they are, of a list each element a line."""
    del context
    if isinstance(value, bytes):
        return value
    lines = value if isinstance(value, list) else [value]
    words = [line if isinstance(line, str) else json.dumps(line, default=str) for line in lines]
    return "\n".join(words).encode(errors="replace")


@dataclass
class Fuzz:
    """world: what is asked. examples: made up at random for each route, right and wrong ones.

    most: at the limits of a route's description, evenly out of all. known: values of parameters.
    """

    world: World
    examples: int
    most: int = 10_000
    seed: int = 0
    known: Mapping[str, Sequence[str]] = field(default_factory=dict)
    seen: Counter[tuple[str, str, int]] = field(default_factory=Counter)  # route, token, status

    @cached_property
    def schema(self) -> Any:
        return schemathesis.openapi.from_url(f"{self.world.url}/openapi.json")

    def operations(self) -> Iterator[Operation]:
        """Every route but those apart; those last that take away what others ask for."""
        found = [result.ok() for result in self.schema.get_all_operations()]
        for operation in sorted(found, key=lambda one: one.method.upper() in ("DELETE", "PUT")):
            if operation.label not in _APART:
                yield operation

    def limits(
        self, operation: Operation, modes: Sequence[GenerationMode] = tuple(GenerationMode)
    ) -> Iterator[Case]:
        """Each rule of the description kept and broken once; the same whenever asked."""
        found: list[Case] = list(
            self.schema.iter_coverage_cases(
                operation,
                generation_modes=list(modes),
                generation_config=self.schema.config.generation_for(operation=operation),
            )
        )
        for number, case in enumerate(found[:: 1 + len(found) // self.most]):
            if number % 3 and case.path_parameters:
                # What is there: else most of the rules are never reached.
                mark = MARKS[number % len(MARKS)]
                there = {"id": str(1 + number % 3)}
                case.path_parameters = {
                    name: there.get(name, f"{mark}-{name}") for name in case.path_parameters
                }
                _whatever_version(case)
            yield case

    def sensible(self, operation: Operation) -> Case:
        """One request that makes sense."""
        return next(self.limits(operation, _POSITIVE))

    def each(
        self, operation: Operation, ask: Callable[[Case, str], object], kinds: Sequence[str]
    ) -> None:
        """Ask a route in random ways, each with a random kind of token; the same by its seed."""
        for mode in GenerationMode:

            @seed(self.seed)
            @settings(
                max_examples=self.examples,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(cases(operation, mode, {**_USUAL, **self.known}), st.sampled_from(kinds))
            def example(case: Case, kind: str) -> None:
                ask(case, kind)

            if mode is GenerationMode.POSITIVE or _can_be_wrong(operation):
                example()

    def answer(
        self, case: Case, kind: str, world: World | None = None, *, away: bool = False
    ) -> Response:
        """What came, in a form that is described; no error of ours, unless something is away."""
        asked = world or self.world
        headers = asked.headers(kind)
        response = case.call(
            base_url=asked.url,
            session=asked.session,
            headers=headers,
            timeout=30,
            allow_redirects=False,
        )
        wanted = _FITS if away else [not_a_server_error, *_FITS]
        case.validate_response(response, checks=wanted, headers=headers)
        self.seen[case.operation.label, kind, response.status_code] += 1
        return response


def _can_be_wrong(operation: Operation) -> bool:
    return bool(operation.query or operation.body or operation.path_parameters or operation.headers)


def _whatever_version(case: Case) -> None:
    """Nobody knows the version that there is: without one a change is tried."""
    case.headers.pop("If-Match", None)
    if isinstance(case.body, dict):
        case.body.pop("version", None)


@st.composite
def cases(
    draw: st.DrawFn, operation: Operation, mode: GenerationMode, known: Mapping[str, Sequence[str]]
) -> Case:
    """What the description allows, or forbids; often with names and ids that are there."""

    def some(name: str) -> st.SearchStrategy[str]:
        called = _CALLED.get(name, name)
        words = known.get(name, [f"shared-{called}", "", "%", "1"])
        return st.sampled_from([*words, *words, *(f"{mark}-{called}" for mark in MARKS)])

    case: Case = draw(operation.as_strategy(generation_mode=mode))
    parts = dict(case.path_parameters or {})
    if parts and draw(st.integers(0, 3)):
        # Not an empty one: that would be another route.
        case.path_parameters = {name: draw(some(name).filter(bool)) for name in parts}
    if draw(st.booleans()):
        _whatever_version(case)
    names = {parameter.name: parameter.is_required for parameter in operation.query}
    chosen = (
        draw(st.lists(st.sampled_from(sorted(names)), max_size=3, unique=True)) if names else []
    )
    query = dict(case.query or {})
    if draw(st.integers(0, 2)):
        # Mistakes come together, and only the first is met: so mostly these alone.
        query = {name: _USUAL[name][0] for name in names if names[name] and name in _USUAL}
    for name in chosen:
        query[name] = draw(some(name) | st.lists(some(name), min_size=1, max_size=2))
    case.query = query
    return case
