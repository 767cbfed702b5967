"""What pages of the dashboard say to addresses, forms and much of everything."""

import base64
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import httpx
import pytest

from tests.support import budgets, dashboards, ledger
from tests.support.service import Service, serving, token
from worker.database import transaction

MINE = {"sec-fetch-site": "same-origin"}


@pytest.fixture
def service(database: str) -> Iterator[Service]:
    with serving(token("me", "read", "alerts"), web_rate=0) as service:
        dashboards.fill()
        yield service


def after(*place: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


@pytest.mark.parametrize(
    "said",
    [
        "from=0001-01-02&through=0005-01-01",
        "through=0001-01-01&zone=Asia/Tokyo",
        "to=0001-01-20",
        "from=0001-01-01T00:00-12:00&to=0001-02-01",
        "from=9999-12-29&to=9999-12-31T23:45",
        "from=1000-01-01&through=2026-11-22",
        "from=2026-11-22&through=2026-11-01",
    ],
)
def test_a_time_that_no_page_can_show_is_refused(service: Service, said: str) -> None:
    for page in ("", "/spend", "/requests"):
        answer = service.client.get(f"/dashboard{page}?{said}")
        assert (page, answer.status_code) == (page, 400)
        assert "http-equiv" not in answer.text, "it would be asked for again and again"


def test_the_end_of_a_page_is_a_number_and_nothing_that_python_takes_for_one(
    service: Service,
) -> None:
    moment = "2026-11-20T00:00:00+00:00"
    for number in (True, False):
        for page, place in (
            ("/dashboard/requests", (moment, number)),
            ("/dashboard/budgets", ("x", number)),
            ("/dashboard/alerts", ("", number)),
            ("/requests", (moment, number)),
            ("/alerts", ("", number)),
        ):
            status = service.client.get(page, params={"after": after(*place)}).status_code
            assert (page, status) in ((page, 400), (page, 422))


def test_a_form_of_too_many_fields_says_nothing(service: Service) -> None:
    said = {f"x{n}": "1" for n in range(60)}
    answer = service.client.post("/dashboard/login", data=said, headers=MINE)
    assert answer.status_code == 422
    assert "Paste a token" in answer.text


def test_the_login_leads_back_to_a_name_with_any_letters(service: Service) -> None:
    budgets.add("50% of it?/é", hard_limit=7)
    wanted = f"/dashboard/budgets/{quote('50% of it?/é', safe='')}"
    # A slash ends a part of a path, whoever writes it.
    assert service.client.get(wanted).status_code == 404
    budgets.add("50% of it? é", hard_limit=7)
    wanted = f"/dashboard/budgets/{quote('50% of it? é', safe='')}"
    with httpx.Client(base_url=service.url, trust_env=False) as stranger:
        form = stranger.get(stranger.get(wanted).headers["location"]).text
        found = re.search(r'name="next" value="([^"]*)"', form)
        assert found is not None
        assert found[1] == wanted
    assert "50% of it? é" in service.client.get(wanted).text


def test_open_alerts_are_all_counted_and_the_worst_come_first(service: Service) -> None:
    budgets.add("worst", scope={"project": "shop"}, hard_limit=50, thresholds=["100%,critical"])
    dashboards.budgeted_again()
    thresholds = [f"0.{n:03}" for n in range(1, 251)]
    for first in range(0, len(thresholds), 50):
        name = f"many-{first}"
        said = thresholds[first : first + 50]
        budgets.add(name, scope={"project": "shop"}, hard_limit=1, thresholds=said)
    dashboards.budgeted_again()
    page = service.client.get("/dashboard").text
    section = page.partition('id="open-alerts"')[2].partition("</section>")[0]
    counts = dict(re.findall(r">(\d+) (critical|warning)<", section))
    assert sum(map(int, counts)) == ledger.scalar("SELECT count(*) FROM budget_alerts")
    assert sum(map(int, counts)) > 200
    [first, *_] = re.findall(r'<li class="alert (\w+)" id="alert-(\d+)"', section)
    assert first == ("critical", "1"), "the oldest of all"


def test_requests_can_be_found_without_scripts(service: Service) -> None:
    with transaction() as session:
        dashboards.add(session, {"project": "shop"}, session_id="s-1", model="of-the-session")
    ledger.roll()
    page = service.client.get("/dashboard/requests", params={"find": "session_id", "id": " s-1 "})
    assert page.text.count("<tbody>") == 1
    assert "of-the-session" in page.text
    assert "gpt-4o" not in page.text.partition("<tbody>")[2]
    assert "session id: <b>s-1</b>" in page.text


def test_links_of_an_old_request_lead_to_others_of_its_time(service: Service) -> None:
    began = datetime.now(UTC) - timedelta(days=200)
    with transaction() as session:
        who = {"project": "old", "tags": ("then",)}
        dashboards.add(session, who, trace_id="t-1", model="old-one", started_at=began)
    ledger.roll()
    number = ledger.scalar("SELECT id FROM cost_logs WHERE model = 'old-one'")
    page = service.client.get(f"/dashboard/requests/{number}").text
    links = re.findall(r'href="(/dashboard/requests\?[^"]*)"', page.partition("who-head")[2])
    assert len(links) == 5, "provider, model, project, tag, trace"
    for link in links:
        found = service.client.get(link.replace("&amp;", "&")).text
        assert f'href="/dashboard/requests/{number}"' in found, link
