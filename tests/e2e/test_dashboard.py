"""The dashboard in a real Chromium: what it shows, where it leads, and what changes by itself."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, Route, expect

from spend import tokens
from spend.tenancy import Binding
from tests.support import dashboards, ledger
from tests.support.browsing import Window, chromium, window
from tests.support.databases import away
from tests.support.service import Service, serving, token
from worker.database import transaction

READ = ("read", "alerts")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def service(database: str) -> Iterator[Service]:
    with serving(web_rate=0) as service:
        yield service


@pytest.fixture
def filled(service: Service) -> Service:
    """A service with spend, budgets and alerts."""
    dashboards.fill()
    dashboards.budgeted()
    return service


@pytest.fixture
def seen(browser: Browser, service: Service) -> Iterator[Window]:
    """A window of somebody who is logged in."""
    with window(browser, service.url) as found:
        found.log_in(token("me", *READ))
        yield found


def test_a_token_is_pasted_once_and_leads_to_where_one_wanted_to_be(
    browser: Browser, filled: Service
) -> None:
    secret = token("me", *READ)
    with window(browser, filled.url) as seen:
        page = seen.go("/dashboard/spend?by=model&range=7d")
        expect(page).to_have_title("Log in · Spendbeat")
        page.get_by_label("Token").fill("sb_" + "x" * 43)
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("alert").first).to_contain_text("not known")
        page.get_by_label("Token").fill(f" {secret} ")
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url("**/dashboard/spend?by=model&range=7d")
        cookies = seen.context.cookies()
        kept = next(one for one in cookies if one["name"] == "spendbeat_token")
        assert (kept["httpOnly"], kept["sameSite"], kept["path"]) == (True, "Strict", "/")
        assert page.evaluate("document.cookie") == ""
        page.get_by_role("button", name="Log out").click()
        page.wait_for_url("**/dashboard/login")
        seen.go("/dashboard")
        expect(page).to_have_title("Log in · Spendbeat")


def test_a_revoked_token_leads_to_the_login_which_says_why(filled: Service, seen: Window) -> None:
    page = seen.go("/dashboard/alerts")
    expect(page).to_have_title("Alerts · Spendbeat")
    with transaction() as session:
        tokens.revoke(session, "me")
    page.wait_for_url("**/dashboard/login?**", timeout=30_000)  # by itself
    assert "revoked" in seen.text()
    assert seen.context.cookies() == []
    page.get_by_label("Token").fill(token("again", *READ))
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/dashboard/alerts")


def test_a_token_that_may_not_read_is_refused_at_the_login(
    browser: Browser, service: Service
) -> None:
    with window(browser, service.url) as seen:
        page = seen.go("/dashboard")
        page.get_by_label("Token").fill(token("sender", "ingest"))
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("alert").first).to_contain_text("needs the scope read")
        assert seen.context.cookies() == []


def test_figures_are_those_of_the_report_to_the_last_digit(filled: Service, seen: Window) -> None:
    seen.go("/dashboard")
    assert seen.figures("#hero .big") == [dashboards.TOTAL_30]
    assert "at least, with 1 unpriced" in seen.text("#hero")
    answer = filled.client.get(
        "/spend",
        params={"by": "project", "from": seen_day(29), "limit": "100"},
        headers=bearer(seen),
    ).json()
    assert answer["total"]["total_cost"] == dashboards.TOTAL_30.removeprefix("$")
    lines = seen.page.locator("#lines tbody tr td:nth-child(2) data.money")
    shown = [value.removeprefix("$") for value in lines.evaluate_all("a => a.map(e => e.value)")]
    assert [float(one) for one in shown] == [float(line["total_cost"]) for line in answer["data"]]
    assert shown[0] == answer["data"][0]["total_cost"]
    seen.go("/dashboard/spend?by=model")
    assert seen.figures("#lines tfoot") == [dashboards.TOTAL_30]
    seen.go("/dashboard?range=90d")
    assert seen.figures("#hero .big") == ["$68.254000000007"]


def seen_day(ago: int) -> str:
    return str((datetime.now(UTC) - timedelta(days=ago)).date())


def bearer(seen: Window) -> dict[str, str]:
    secret = next(one["value"] for one in seen.context.cookies())
    return {"Authorization": f"Bearer {secret}"}


def test_a_figure_leads_deeper_until_its_requests(filled: Service, seen: Window) -> None:
    page = seen.go("/dashboard?by=organization")
    for value in ("acme", "shop", "coder"):
        page.locator("#lines").get_by_role("link", name=value, exact=True).click()
        page.wait_for_load_state()
    assert "Agent: coder" in seen.text(".chips")
    page.locator("#lines").get_by_role("link", name="Unattributed", exact=True).click()
    page.locator("#lines").get_by_role("link", name="openai", exact=True).click()
    page.locator("#lines").get_by_role("link", name="gpt-4o", exact=True).click()
    page.wait_for_url("**/dashboard/requests?**")
    expect(page.locator("table.requests tbody tr")).to_have_count(1)
    page.locator("table.requests tbody a.name").click()
    page.wait_for_url(re.compile(r"/dashboard/requests/\d+$"))
    assert seen.text(".big") == "$12.50"
    assert "coder" in seen.text()


def test_what_is_unpriced_or_unattributed_is_said_and_can_be_looked_at(
    filled: Service, seen: Window
) -> None:
    page = seen.go("/dashboard")
    page.locator("#hero").get_by_role("link", name="1", exact=True).click()
    page.wait_for_url("**/dashboard/requests?unpriced=true")
    expect(page.locator("table.requests tbody tr")).to_have_count(1)
    assert "nobody-knows" in seen.text("table.requests")
    page.locator("table.requests tbody a.name").click()
    assert "unpriced, never as free" in seen.text()
    seen.go("/dashboard")
    page.locator("#hero").get_by_role("link", name="$5.00").click()
    assert "Project: Unattributed" in seen.text(".chips")
    assert seen.figures("#lines tfoot") == ["$5.00"]


def test_names_that_are_scripts_are_names(filled: Service, seen: Window) -> None:
    page = seen.go("/dashboard")
    page.locator("#lines").get_by_role("link", name=dashboards.NASTY, exact=True).click()
    page.wait_for_url("**/dashboard/spend?**")
    assert f"Project: {dashboards.NASTY}" in seen.text(".chips")
    page.goto(f"{filled.url}/dashboard/spend?by=model")
    page.get_by_role("link", name=dashboards.QUOTED, exact=True).click()
    expect(page.locator("table.requests")).to_contain_text(dashboards.QUOTED)
    assert page.locator("main script").count() == 0


def test_an_alert_is_acknowledged_and_snoozed_where_it_stands(
    filled: Service, seen: Window
) -> None:
    page = seen.go("/dashboard")
    open_ = page.locator("#open-alerts .alert")
    before = open_.count()
    assert before >= 2
    first = open_.first.get_attribute("id")
    open_.first.get_by_role("button", name="Acknowledge").click()
    expect(open_).to_have_count(before - 1)
    assert page.url.endswith("/dashboard")
    second = open_.first.get_attribute("id")
    open_.first.get_by_text("Snooze").click()
    open_.first.get_by_role("button", name="4 hours").click()
    expect(open_).to_have_count(before - 2)
    for name, state in ((first, "acknowledged"), (second, "snoozed")):
        assert name is not None
        found = filled.client.get(f"/alerts/{name.removeprefix('alert-')}", headers=bearer(seen))
        assert (found.json()["state"], found.json()["state_by"]) == (state, "me")


def test_without_scripts_buttons_are_forms_and_lead_back(browser: Browser, filled: Service) -> None:
    with window(browser, filled.url, scripts=False) as seen:
        seen.log_in(token("me", *READ))
        page = seen.go("/dashboard/alerts")
        before = page.locator(".alert .pill", has_text="acknowledged").count()
        page.get_by_role("button", name="Acknowledge").first.click()
        page.wait_for_url("**/dashboard/alerts")
        expect(page.locator(".alert .pill", has_text="acknowledged")).to_have_count(before + 1)


def test_a_token_without_the_scope_sees_alerts_and_has_no_buttons(
    browser: Browser, filled: Service
) -> None:
    with window(browser, filled.url) as seen:
        seen.log_in(token("reader", "read"))
        page = seen.go("/dashboard")
        assert page.locator("#open-alerts .alert").count() >= 2
        assert page.get_by_role("button", name="Acknowledge").count() == 0


def test_a_new_request_shows_without_a_reload_and_moves_nothing(
    filled: Service, seen: Window
) -> None:
    page = seen.go("/dashboard")
    page.evaluate("window.here = true")
    link = page.locator("#lines").get_by_role("link", name="search", exact=True)
    link.focus()
    page.locator("#chart-figures summary").click()
    link.focus()
    page.evaluate("scrollTo(0, 300)")
    expect(page.locator("#link")).to_have_text("")
    at = page.evaluate("scrollY")
    dashboards.spend_more("100")
    expect(page.locator("#hero .big")).to_contain_text("$160.75")
    assert seen.figures("#lines tfoot") == ["$160.754000000007"]
    assert page.evaluate("window.here") is True
    assert page.evaluate("document.activeElement.textContent") == "search"
    assert page.locator("#chart-figures").get_attribute("open") == ""
    assert page.evaluate("scrollY") == at
    # The alert that it raises comes too.
    before = page.locator("#open-alerts .alert").count()
    dashboards.budgeted_again()
    expect(page.locator("#open-alerts .alert")).to_have_count(before + 1)


def test_what_the_pointer_rests_on_stays_and_has_the_new_figure(
    filled: Service, seen: Window
) -> None:
    page = seen.go("/dashboard")
    page.locator(".column").last.hover()
    expect(page.locator("#tip")).to_contain_text("$45.00")
    dashboards.spend_more("100")
    expect(page.locator("#hero .big")).to_contain_text("$160.75")
    expect(page.locator("#tip")).to_be_visible()
    expect(page.locator("#tip")).to_contain_text("$145.00")


def test_without_data_it_says_how_to_begin_and_fills_by_itself(
    service: Service, seen: Window
) -> None:
    page = seen.go("/dashboard")
    assert "No request has come in yet" in seen.text()
    assert f"{service.url}/ingest" in seen.text()
    dashboards.spend_more("3")
    expect(page.locator("#hero .big")).to_contain_text("$3.00")


def test_a_time_without_spend_says_so(filled: Service, seen: Window) -> None:
    seen.go("/dashboard?from=2020-01-01&through=2020-01-31")
    assert "Nothing was spent in this time" in seen.text("#over-time")
    seen.go("/dashboard/requests?from=2020-01-01&through=2020-01-31")
    assert "No request in this time" in seen.text()


def test_while_the_database_is_away_a_page_says_so_and_comes_back(
    filled: Service, seen: Window, database: str
) -> None:
    page = seen.go("/dashboard")
    with away(database):
        expect(page.locator("#link")).to_contain_text("does not answer", timeout=30_000)
        assert dashboards.TOTAL_30 in seen.figures("#hero .big")
        page.goto(f"{filled.url}/dashboard/spend")
        assert "cannot be read now" in seen.text()
    expect(page.locator("h1")).to_contain_text("Spend by", timeout=30_000)


def test_it_listens_again_after_the_stream_was_refused(filled: Service, seen: Window) -> None:
    """A browser gives up for good after an answer such as 503."""
    refused: list[str] = []

    def refuse(route: Route) -> None:
        refused.append(route.request.url)
        route.fulfill(status=503)

    seen.page.route("**/events?*", refuse, times=1)
    seen.page.clock.install()
    page = seen.go("/dashboard")
    expect(page.locator("#link")).to_contain_text("No live connection")
    page.clock.fast_forward(10_000)
    expect(page.locator("#link")).to_have_text("", timeout=30_000)
    assert len(refused) == 1
    page.wait_for_timeout(1500)  # for the look that its opening asks for
    dashboards.spend_more("100")
    expect(page.locator("#hero .big")).to_contain_text("$160.75")


def test_pages_that_nobody_sees_leave_connections_to_the_others(
    filled: Service, seen: Window
) -> None:
    """A browser opens six to a service, and each page that listens holds one."""
    # Without a screen every page is seen: what a browser says of one behind others is said for it.
    seen.context.add_init_script(
        "Object.defineProperty(document, 'hidden', {get: () => window.behind === true})"
    )
    show = (
        "(behind) => { window.behind = behind;"
        " document.dispatchEvent(new Event('visibilitychange')) }"
    )
    pages = []
    for _ in range(7):
        page = seen.context.new_page()
        with page.expect_request("**/events?*"):
            page.goto(f"{filled.url}/dashboard")
        page.evaluate(show, True)
        pages.append(page)
    dashboards.spend_more("100")
    expect(pages[0].locator("#hero .big")).to_contain_text("$60.75")
    pages[0].evaluate(show, False)
    expect(pages[0].locator("#hero .big")).to_contain_text("$160.75")
    dashboards.spend_more("100")
    expect(pages[0].locator("#hero .big")).to_contain_text("$260.75")


def test_somebody_else_was_sooner_with_an_alert(filled: Service, seen: Window) -> None:
    seen.page.route("**/events?*", lambda route: route.abort())
    page = seen.go("/dashboard/alerts")
    first = page.locator(".alert").first
    name = str(first.get_attribute("id"))
    filled.client.post(
        f"/alerts/{name.removeprefix('alert-')}/resolve", headers=bearer(seen), json={}
    )
    first.get_by_role("button", name="Acknowledge").click()
    expect(page.locator("#told")).to_contain_text("is resolved")
    expect(page.locator(f"#{name}")).to_have_count(0)
    assert all("ERR_FAILED" in error for error in seen.errors)
    seen.errors.clear()


def test_figures_that_are_not_counted_further_go_stale_visibly(
    filled: Service, seen: Window
) -> None:
    page = seen.go("/dashboard")
    expect(page.locator("#age")).to_have_text(re.compile(r"counted up to \d+ s ago$"))
    ledger.run_as(
        "spendbeat_owner",
        "UPDATE ticks SET at = at - interval '5 minutes'",
    )
    seen.go("/dashboard")
    expect(page.locator("#age")).to_contain_text("counted up to 5 min ago")
    expect(page.locator("#age")).to_have_class("stale-words")


def test_a_bound_token_sees_its_own_and_no_budgets(browser: Browser, filled: Service) -> None:
    dashboards.fill(organization="globex")
    with transaction() as session:
        _, secret = tokens.create(session, "acme", ("read",), Binding(organization="acme"))
    with window(browser, filled.url) as seen:
        seen.log_in(secret)
        page = seen.go("/dashboard")
        assert seen.figures("#hero .big") == ["$55.754000000007"]
        assert "This token sees organization acme and nothing else" in seen.text(".notice")
        assert page.locator("#budgets, #open-alerts").count() == 0
        assert page.get_by_role("link", name="Budgets").count() == 0
        seen.go("/dashboard?by=organization")
        assert "globex" not in page.content()
        seen.go("/dashboard/requests")
        expect(page.locator("table.requests tbody tr")).to_have_count(5)
        seen.go("/dashboard/budgets")
        assert "This token may not see that" in seen.text("h1")


def test_a_link_from_elsewhere_finds_somebody_who_is_logged_in(
    filled: Service, seen: Window
) -> None:
    """Browsers keep a strict cookie back at first."""
    elsewhere = filled.url.replace("127.0.0.1", "localhost")
    page = seen.page
    page.goto(f"{elsewhere}/dashboard/login")
    page.evaluate(f"location.assign('{filled.url}/dashboard/alerts')")
    page.wait_for_url(f"{filled.url}/dashboard/alerts")
    expect(page).to_have_title("Alerts · Spendbeat")
    seen.strangers.clear()


def test_budgets_and_alerts_have_pages_of_their_own(filled: Service, seen: Window) -> None:
    page = seen.go("/dashboard/budgets")
    page.get_by_role("link", name="shop", exact=True).click()
    expect(page.locator("h1")).to_have_text("shop")
    assert "over the limit" in seen.text()
    assert seen.figures("#stands .big") == ["$60.000000000007", "$55.00"]
    page.locator("#alerts a.name").first.click()
    page.get_by_label("Note").first.fill("looking at the loop")
    page.get_by_role("button", name="Acknowledge").click()
    expect(page.locator("#history")).to_contain_text("looking at the loop")
    expect(page.locator("#alert .pill", has_text="acknowledged")).to_have_count(1)
    seen.go("/dashboard/alerts?state=acknowledged")
    expect(page.locator(".alert")).to_have_count(1)
