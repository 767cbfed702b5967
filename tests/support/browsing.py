"""A real Chromium that looks at the dashboard, and notes what a page must not do."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, Request, expect, sync_playwright

from tests.tools import tool
from web.tokens import COOKIE

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# Milliseconds; a machine that does other things too is slow, not wrong.
_PATIENCE = 60_000
DESKTOP = (1280, 860)
PHONE = (390, 844)
# Asked for on purpose, and said in the console by the browser itself.
_EXPECTED = ("the server responded with a status of 4", "the server responded with a status of 503")


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser of the system; playwright brings none."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(tool("chromium")), args=list(ARGUMENTS)
        )
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Window:
    """A window on one service. errors: what went wrong in it; strangers: other hosts asked."""

    url: str
    context: BrowserContext
    page: Page
    errors: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    def go(self, path: str) -> Page:
        """A page of the dashboard, loaded."""
        self.page.goto(self.url + path, wait_until="load")
        return self.page

    def log_in(self, secret: str) -> None:
        """As the form does."""
        self.context.add_cookies(
            [
                {
                    "name": COOKIE,
                    "value": secret,
                    "url": self.url,
                    "httpOnly": True,
                    "sameSite": "Strict",
                }
            ]
        )

    def text(self, selector: str = "main") -> str:
        return " ".join(self.page.locator(selector).first.inner_text().split())

    def figures(self, selector: str) -> list[str]:
        """The exact amounts below an element, as texts of dollars."""
        found = self.page.locator(f"{selector} data.money").evaluate_all(
            "all => all.map(one => one.value)"
        )
        return [str(one) for one in found]

    def _said(self, text: str) -> None:
        if not any(expected in text for expected in _EXPECTED):
            self.errors.append(text)

    def _asked(self, request: Request) -> None:
        if urlsplit(request.url).netloc != urlsplit(self.url).netloc:
            self.strangers.append(request.url)


@contextmanager
def window(
    browser: Browser,
    url: str,
    *,
    size: tuple[int, int] = DESKTOP,
    dark: bool = False,
    scripts: bool = True,
) -> Iterator[Window]:
    """A new window without cookies; at the end nothing may have gone wrong in it."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if dark else "light",
        java_script_enabled=scripts,
    )
    context.set_default_timeout(_PATIENCE)
    expect.set_options(timeout=_PATIENCE)
    found = Window(url, context, context.new_page())
    found.page.on("console", lambda said: found._said(said.text) if said.type == "error" else None)
    found.page.on("pageerror", lambda error: found.errors.append(str(error)))
    context.on("request", found._asked)
    try:
        yield found
        assert found.errors == []
        assert found.strangers == []
    finally:
        context.close()
