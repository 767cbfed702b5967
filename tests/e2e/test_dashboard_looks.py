"""How the dashboard looks and is used: on a phone, in the dark, with a keyboard, and behind its
policy against anything that is not its own.
"""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.support import dashboards
from tests.support.browsing import DESKTOP, PHONE, Window, chromium, window
from tests.support.service import Service, serving, token

PAGES = (
    "/dashboard",
    "/dashboard?range=today&by=tag",
    "/dashboard/spend?by=model&project=shop",
    "/dashboard/requests",
    "/dashboard/requests/1",
    "/dashboard/budgets",
    "/dashboard/budgets/1",
    "/dashboard/alerts",
    "/dashboard/alerts/1",
    "/dashboard/alerts/999",
    "/dashboard/login",
)
LONG = "x" * 200
# Every text against what is behind it, as WCAG 2 counts it. Without what nobody sees.
_CONTRASTS = """() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const parse = (color) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => v / 255)
      .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (one) => {
    for (let at = one; at; at = at.parentElement) {
      const color = parse(getComputedStyle(at).backgroundColor);
      if (color[3] === 255) return color;
    }
    return [255, 255, 255, 255];
  };
  const bad = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.nodeValue.trim();
    const one = walker.currentNode.parentElement;
    if (!text || !one.checkVisibility() || one.closest(".sr, .skip, datalist, option")) continue;
    const style = getComputedStyle(one);
    const ink = one.closest("svg") ? style.fill : style.color;
    const [a, b] = [light(parse(ink)), light(behind(one))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5)) bad.push(`${text.slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return bad;
}"""
_FOCUS = """() => {
  const one = document.activeElement;
  const style = getComputedStyle(one);
  const box = one.getBoundingClientRect();
  return {
    name: (one.ariaLabel || one.textContent || one.name || "").trim().replace(/\\s+/g, " "),
    tag: one.tagName,
    ring: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
    seen: box.bottom > 0 && box.top < innerHeight,
    after: one !== document.body,
  };
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def service(shared_database: str) -> Iterator[Service]:
    """One for all tests here: they look, and press a button of an alert at most."""
    with serving(web_rate=0) as service:
        dashboards.fill()
        dashboards.budgeted()
        dashboards.fill_long(LONG)
        yield service


@pytest.fixture(scope="module")
def secret(service: Service) -> str:
    return token("me", "read", "alerts")


def test_no_page_is_wider_than_a_phone(browser: Browser, service: Service, secret: str) -> None:
    with window(browser, service.url, size=PHONE) as seen:
        seen.log_in(secret)
        for path in PAGES:
            page = seen.go(path)
            wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
            assert wide[0] <= wide[1], path
        # What is pressed is as large as a finger needs.
        page = seen.go("/dashboard")
        for button in page.locator("main button:visible, main summary.menu:visible").all():
            box = button.bounding_box()
            assert box is not None
            assert box["height"] >= 38


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_names_of_any_length_leave_room_for_the_figures(
    browser: Browser, service: Service, secret: str, size: tuple[int, int]
) -> None:
    """And spend below zero can be drawn: the window has nothing to complain of."""
    with window(browser, service.url, size=size) as seen:
        seen.log_in(secret)
        for path in (
            "/dashboard?project=long", "/dashboard?by=agent&organization=long",
            "/dashboard/spend?by=agent&organization=long&user_id=" + LONG,
            "/dashboard/requests?organization=long", "/dashboard/budgets",
            "/dashboard/budgets/refunded",
        ):  # fmt: skip
            page = seen.go(path)
            wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
            assert wide[0] <= wide[1], path
        page = seen.go("/dashboard?by=agent&organization=long")
        # The spend of each line is inside of the card, without scrolling.
        card = page.locator("#over-time").bounding_box()
        assert card is not None
        for figure in page.locator("#lines tbody tr td:nth-child(2)").all():
            box = figure.bounding_box()
            assert box is not None
            assert box["x"] + box["width"] <= card["x"] + card["width"]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_text_can_be_read(
    browser: Browser, service: Service, secret: str, dark: bool
) -> None:
    with window(browser, service.url, dark=dark) as seen:
        seen.log_in(secret)
        for path in PAGES:
            page = seen.go(path)
            found = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (found == "rgb(19, 20, 22)") is dark
            page.evaluate("document.querySelectorAll('details').forEach((one) => one.open = true)")
            assert page.evaluate(_CONTRASTS) == [], path


def test_somebody_chooses_dark_and_it_stays(
    browser: Browser, service: Service, secret: str
) -> None:
    with window(browser, service.url) as seen:
        seen.log_in(secret)
        page = seen.go("/dashboard")
        page.get_by_role("button", name="Change between light and dark").click()
        seen.go("/dashboard/alerts")
        dark = "getComputedStyle(document.body).backgroundColor"
        assert page.evaluate(dark) == "rgb(19, 20, 22)"
        page.get_by_role("button", name="Change between light and dark").click()
        seen.go("/dashboard")
        assert page.evaluate(dark) == "rgb(247, 247, 245)"


def test_all_of_it_can_be_done_with_a_keyboard(
    browser: Browser, service: Service, secret: str
) -> None:
    """In order of what is seen, always visible, and menus open and close with keys."""
    with window(browser, service.url) as seen:
        seen.log_in(secret)
        page = seen.go("/dashboard")
        page.keyboard.press("Tab")
        assert focused(seen)["name"] == "Skip to the content"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        passed: list[str] = []
        while "Acknowledge" not in (passed[-1:] or [""])[0]:
            page.keyboard.press("Tab")
            found = focused(seen)
            assert found["ring"], found
            assert found["seen"], found
            passed.append(found["name"])
            assert len(passed) < 200
        for name in ("Today", "Model", "shop", "Figures of the chart"):
            assert name in passed
        before = page.locator("#open-alerts .alert").count()
        page.keyboard.press("Enter")
        expect(page.locator("#open-alerts .alert")).to_have_count(before - 1)
        assert focused(seen)["after"], "the keyboard goes on where it was"
        page.locator("#open-alerts summary").first.focus()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        assert focused(seen)["name"] == "1 hour"
        page.keyboard.press("Escape")
        assert page.locator("#open-alerts details[open]").count() == 0
        assert focused(seen)["name"].startswith("Snooze")


def focused(seen: Window) -> dict[str, Any]:
    found: dict[str, Any] = seen.page.evaluate(_FOCUS)
    return found


def test_pages_say_what_they_are_to_who_cannot_see_them(
    browser: Browser, service: Service, secret: str
) -> None:
    with window(browser, service.url) as seen:
        seen.log_in(secret)
        titles = set()
        for path in PAGES:
            page = seen.go(path)
            titles.add(page.title())
            assert page.locator("html").get_attribute("lang") == "en"
            assert page.locator("h1").count() == 1, path
            assert page.locator("main").count() == 1
            unnamed = page.evaluate(
                """() => [...document.querySelectorAll("a, button, input, select, summary")]
                .filter((one) => one.type !== "hidden" && !one.closest("[role=img]"))
                .filter((one) => !(one.ariaLabel || one.textContent.trim() || one.labels?.length))
                .map((one) => one.outerHTML)"""
            )
            assert unnamed == [], path
            twice = page.evaluate(
                """() => [...document.querySelectorAll("[id]")].map((one) => one.id)
                .filter((id, at, all) => all.indexOf(id) !== at)"""
            )
            assert twice == [], path
        assert len(titles) >= len(PAGES) - 1
        page = seen.go("/dashboard?organization=acme")
        chart = page.locator("svg.plot")
        assert chart.get_attribute("role") == "img"
        assert "$55.75 in all" in str(chart.get_attribute("aria-label"))
        page.locator("#chart-figures summary").click()
        days = page.locator("#chart-table tbody tr")
        assert days.count() == 30
        assert seen.figures("#chart-table tbody tr:last-child")[-1] == "$40.000000000007"


def test_nothing_inline_and_nothing_from_elsewhere(service: Service, secret: str) -> None:
    headers = {"Authorization": f"Bearer {secret}", "Accept": "text/html"}
    for path in PAGES:
        answer = service.client.get(path, headers=headers)
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'self';")
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", answer.text), path
        for address in re.findall(r"(?:src|href|action)=\"([^\"]*)\"", answer.text):
            assert address.startswith(("/", "#")), address


def test_files_of_the_pages_are_kept_and_there_are_no_others(service: Service) -> None:
    page = service.client.get("/dashboard/login").text
    for address in re.findall(r"\"(/dashboard/static/[^\"]*)\"", page):
        answer = service.client.get(address)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
        old = service.client.get(address.partition("?")[0])
        assert old.headers["cache-control"] == "no-cache"
    for name in ("..%2froutes.py", "%2e%2e/routes.py", "routes.py", "."):
        assert service.client.get(f"/dashboard/static/{name}").status_code == 404


def test_other_sites_can_neither_log_in_nor_press_buttons(service: Service, secret: str) -> None:
    cookie = {"spendbeat_token": secret}
    for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "https://elsewhere.example"}, {}):
        with httpx.Client(base_url=service.url, cookies=cookie, trust_env=False) as client:
            pressed = client.post("/dashboard/alerts/1/ack", headers=headers)
            assert pressed.status_code == 403
            entered = client.post("/dashboard/login", headers=headers, data={"token": secret})
            assert entered.status_code == 403
            assert "set-cookie" not in entered.headers
            assert "set-cookie" not in client.post("/dashboard/logout", headers=headers).headers
    mine = {"sec-fetch-site": "same-origin", "origin": "https://spend.example"}
    with httpx.Client(base_url=service.url, trust_env=False) as client:
        for following, place in (
            ("/dashboard/alerts?state=open", "/dashboard/alerts?state=open"),
            ("//elsewhere.example/dashboard", "/dashboard"),
            ("https://elsewhere.example/dashboard", "/dashboard"),
            ("/dashboard/../ingest", "/dashboard"),
            ("/dashboard\\@elsewhere.example", "/dashboard"),
            ("/dashboardelsewhere", "/dashboard"),
            ("/dashboard\r\nSet-Cookie: a=b", "/dashboard"),
        ):
            said = {"token": secret, "next": following}
            entered = client.post("/dashboard/login", headers=mine, data=said)
            assert (entered.status_code, entered.headers["location"]) == (303, place)
            assert "Secure" in entered.headers["set-cookie"]
