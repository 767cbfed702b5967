"""Every route, asked in ways made from its description: no error of ours, nothing said that the
description does not know, and nobody hears of others. `./run storm api` does it for longer.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.api_fuzz import Fuzz
from tests.support.crawling import asked, bent, crawl, visit
from tests.support.databases import away, made
from tests.support.leaks import LISTS, OPEN, PUBLIC, TOLD, compare, everything, foreign, watch
from tests.support.streams import listening
from tests.support.valkey import valkey
from tests.support.waiting import wait_for
from tests.support.worlds import (
    FOREIGN,
    NOBODYS,
    OURS,
    STRANGERS,
    TENANTS,
    THEIRS,
    World,
    world,
)

# By whom, and whose: otherwise its absence would say nothing.
SEEN = (("operator", OURS), ("operator", THEIRS), ("organization", OURS), ("theirs", THEIRS))


@contextmanager
def settled(folder: Path, server: str, template: str, *marks: str) -> Iterator[World]:
    with made(server, "spendbeat_world", template) as database, valkey() as redis:
        path = redis.url.removeprefix("unix://")
        with world(folder, database, f"redis+socket://{path}?virtual_host=0", marks) as found:
            yield found


@pytest.fixture(scope="module")
def both(
    postgres_server: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """Ours, theirs, and what is attributed to nobody."""
    folder = tmp_path_factory.mktemp("both")
    with settled(folder, postgres_server, template, OURS, THEIRS, NOBODYS) as found:
        yield found


@pytest.fixture
def alone(postgres_server: str, template: str, tmp_path: Path) -> Iterator[World]:
    """The same, if there were only us."""
    with settled(tmp_path, postgres_server, template, OURS) as found:
        yield found


@pytest.fixture
def changed(postgres_server: str, template: str, tmp_path: Path) -> Iterator[World]:
    """As both; nothing in it stays as it is."""
    with settled(tmp_path, postgres_server, template, OURS, THEIRS, NOBODYS) as found:
        yield found


def test_pages_show_nobody_what_others_have(both: World) -> None:
    """The dashboard, as far as links lead, and each page asked oddly."""
    starts = [f"/dashboard{page}" for page in ("", "/budgets", "/alerts", "/requests")]
    seen = " ".join(everything(page) for _, page in crawl(both, "operator", *starts, most=15))
    assert OURS in seen
    assert THEIRS in seen
    for kind in ("organization", "none"):
        pages = dict(crawl(both, kind, *starts, most=40))
        assert (OURS in " ".join(map(everything, pages.values()))) == (kind == "organization")
        odd = [path for page in pages for path in bent(page)]
        pages |= {path: visit(both, kind, path) for path in odd[:: 1 + len(odd) // 60]}
        for path, page in pages.items():
            assert page.status_code < 500, path
            assert not foreign(page, asked(path)), path


def test_every_answer_is_one_that_the_description_knows(changed: World) -> None:
    """And none is an error of ours, at the limits of what is allowed and beyond them."""
    fuzz = Fuzz(changed, examples=3, most=40)
    for operation in fuzz.operations():
        for case in fuzz.limits(operation):
            fuzz.answer(case, "operator")
        fuzz.each(operation, fuzz.answer, ["operator"])
    done = {label for label, _, status in fuzz.seen if status < 300}
    # Not only refused: things were there, and were changed.
    assert {"POST /ingest", "PUT /budgets", "GET /spend", "DELETE /channels/{name}"} <= done
    assert {"PATCH /budgets/{which}", "POST /alerts/{id}/ack"} <= done
    assert "failed with" not in changed.program.logs()


def test_nobody_hears_of_what_others_spend(both: World, alone: World) -> None:
    """Neither by a name, in whatever is answered, nor by a figure that would be another one."""
    for path in TOLD:
        for kind, mark in SEEN:
            assert mark in everything(both.ask("GET", path, kind)), (path, kind)
        compare(both, alone, path)
    fuzz = Fuzz(both, examples=5, known={"after": both.places(*LISTS)})
    for operation in fuzz.operations():
        is_open = operation.label in OPEN
        fuzz.examples = 5 if is_open else 3
        watch(fuzz, alone, operation, is_open=is_open)
    told = {(label, kind) for label, kind, status in fuzz.seen if status < 300}
    there = {label for label, _, _ in fuzz.seen}
    assert {label for label, kind in told if kind in TENANTS} == OPEN & there
    assert {label for label, kind in told if kind in STRANGERS} == PUBLIC


def test_while_postgres_is_away_every_answer_says_so_or_needs_none(both: World) -> None:
    """503 with the time to wait, or what can be said without it; never another error of ours."""
    fuzz = Fuzz(both, examples=1)
    with away(both.database):
        for operation in fuzz.operations():
            answer = fuzz.answer(fuzz.sensible(operation), "operator", away=True)
            if answer.status_code >= 500:
                assert answer.status_code == 503, operation.label
                assert int(answer.headers["retry-after"][0]) > 0, operation.label


def test_streams_tell_a_tenant_of_nothing_foreign(changed: World) -> None:
    """Spend and alerts as they happen, and all that happened before."""
    with ExitStack() as stack:
        streams = {
            (kind, begin): stack.enter_context(
                listening(changed.url, str(secret), f"/events?last_event_id={begin}")
            )
            for kind, secret in changed.secrets.items()
            for begin in ("", "0-0", f"{changed.epoch()}-0", "zqbravo", "-1")
        }
        for number in range(2):
            for mark in (THEIRS, NOBODYS, OURS):
                changed.more(mark, f"streamed-{number}")
        for kind, mark in SEEN:
            heard = streams[kind, ""].lines
            wait_for(lambda h=heard, m=mark: any(m in line for line in h), f"{mark} by {kind}")
        for (kind, begin), stream in streams.items():
            assert stream.status == (401 if kind in STRANGERS else 200), (kind, begin)
            if kind in (*TENANTS, *STRANGERS):
                said = "\n".join([stream.body, *stream.lines])
                assert not [mark for mark in FOREIGN if mark in said], (kind, begin, said)
