"""How soon the dashboard is there, and how soon it shows what was just committed.

A real `spendbeat web`, Redis and Chromium, which begins with an empty cache each time. First paint
is the browser's own figure (Performance API, first-contentful-paint). For the live part a row is
committed, counted at once, as the task does it, and seen in the page that stays open; in operation
a tick comes every SPENDBEAT_TICK_SECONDS, which is waited for besides.

    ./run bench dashboard
    ./run bench dashboard --rows 20000000 --budgets 100
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import Browser, Page
from sqlalchemy import text

from benchmarks.events import web
from benchmarks.ledger import arguments, ledger
from benchmarks.stack import median, show
from spend import rollups, ticks, tokens
from tests.support.browsing import chromium
from tests.support.waiting import wait_for
from web.tokens import COOKIE
from worker import bell
from worker.database import transaction
from worker.settings import settings

PAGES = (
    ("overview, 90 days by project", "/dashboard?range=90d"),
    ("overview, 90 days by model", "/dashboard?range=90d&by=model"),
    ("spend of one project by agent", "/dashboard/spend?range=90d&project=p7&by=agent"),
    ("requests, the newest", "/dashboard/requests?range=90d"),
    ("budgets", "/dashboard/budgets"),
    ("alerts", "/dashboard/alerts"),
)
_INSERT = text("INSERT INTO cost_logs (provider, model, cost_usd) VALUES ('live', 'live', 1000)")
# In the page: when the sum at its top was another one.
_WATCH = """() => {
  window.seen = [];
  const sum = () => document.querySelector("#hero .big data").value;
  let last = sum();
  new MutationObserver(() => {
    if (sum() === last) return;
    last = sum();
    window.seen.push(performance.timeOrigin + performance.now());
  }).observe(document.querySelector("#hero"), {
    subtree: true, childList: true, characterData: true, attributes: true,
  });
}"""
_PAINT = """() => {
  const [loaded] = performance.getEntriesByType("navigation");
  const [paint] = performance.getEntriesByName("first-contentful-paint");
  return paint ? [loaded.responseEnd, paint.startTime, loaded.encodedBodySize] : null;
}"""


def opened(browser: Browser, url: str, secret: str) -> Page:
    """A new window without anything in its cache."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.add_cookies([{"name": COOKIE, "value": secret, "url": url}])
    return context.new_page()


def painted(browser: Browser, url: str, secret: str, path: str, repeat: int) -> list[list[float]]:
    """Per visit: answer, first paint (milliseconds from the click), bytes."""
    found = []
    for _ in range(repeat):
        page = opened(browser, url, secret)
        page.goto(url + path, wait_until="load")
        # The policy of the pages lets nobody evaluate a text in them repeatedly, so it is asked.
        found.append(wait_for(lambda page=page: page.evaluate(_PAINT), "the first paint"))
        page.context.close()
    return found


def happen() -> float:
    """Commit a row and count it; when it was committed, in milliseconds."""
    with transaction() as session:
        session.execute(_INSERT)
    now = time.time() * 1000
    with transaction() as session:
        ticks.take(session)
    with transaction() as session:
        rollups.advance(session, "live")
    bell.ring()
    return now


def live(browser: Browser, url: str, secret: str, repeat: int) -> list[float]:
    """Milliseconds from a commit to the figure in an open page, for each of some rows."""
    page = opened(browser, url, secret)
    page.goto(url + "/dashboard?range=90d", wait_until="load")
    page.evaluate(_WATCH)
    late = []
    for number in range(1, repeat + 1):
        page.wait_for_timeout(2500)  # it looks at most once a second
        at = happen()
        wait_for(lambda n=number: page.evaluate("window.seen.length") >= n, "the figure", 60)
        late.append(page.evaluate("window.seen.at(-1)") - at)
    page.context.close()
    return late


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments(parser)
    parser.add_argument("--repeat", type=int, default=10)
    options = parser.parse_args(argv)

    from worker.embedded.redis import EmbeddedRedis

    with ledger(options), tempfile.TemporaryDirectory(prefix="spendbeat-bench-") as folder:
        Path(folder).chmod(0o711)
        with transaction() as session:
            name = f"bench-{time.time_ns()}"
            secret = tokens.create(session, name, ["read", "alerts"])[1]
        os.environ["SPENDBEAT_HOME"] = str(Path(folder) / "home")
        with (
            EmbeddedRedis(Path(folder) / "home") as redis,
            web(redis.url, 10) as (_, port),
            chromium() as browser,
        ):
            os.environ["REDIS_URL"] = redis.url
            settings.cache_clear()  # whoever rings reads it
            url = f"http://127.0.0.1:{port}"
            lines = []
            for words, path in PAGES:
                found = painted(browser, url, secret, path, options.repeat)
                answer, paint, size = ([one[n] for one in found] for n in range(3))
                lines.append(
                    (words, f"{median(answer):.0f}", f"{median(paint):.0f}",
                     f"{max(paint):.0f}", f"{median(size) / 1024:.0f}")
                )  # fmt: skip
            late = live(browser, url, secret, options.repeat)
    show(
        f"{options.rows:,} rows, {options.attributions:,} attributions,"
        f" {options.budgets:,} budgets",
        ["page", "answer ms", "first paint ms", "slowest", "KiB"],
        lines,
    )
    show(
        "From the commit of a row to its figure in an open page",
        ["", "median ms", "slowest"],
        [("counted at once", f"{median(late):.0f}", f"{max(late):.0f}")],
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
