"""Flower beside a real worker: our tasks are there, and only for those who may see them."""

import base64
import json
import os
import urllib.error
import urllib.request
from typing import Any

import pytest
from playwright.sync_api import sync_playwright
from pytest_celery import CeleryTestSetup

from tests.support.books import Books
from tests.support.waiting import wait_for
from tests.tools import tool
from worker.celery import app

LOGIN = "somebody:a-password"


@pytest.fixture
def port() -> int:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def get(port: int, path: str, login: str | None = None) -> tuple[int, str]:
    """Status and body; status 0 while nobody listens."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}")
    if login:
        token = base64.b64encode(login.encode()).decode()
        request.add_header("Authorization", f"Basic {token}")
    try:
        with urllib.request.urlopen(request, timeout=15) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""
    except urllib.error.URLError:
        return 0, ""


def test_flower_shows_our_tasks_to_who_has_the_login(
    celery_setup: CeleryTestSetup, start: Any, port: int
) -> None:
    """Without it: 401. With it: the worker, its queues, and runs with names, arguments, results."""
    start("flower", "flower", FLOWER_PORT=str(port), FLOWER_BASIC_AUTH=LOGIN)
    wait_for(lambda: get(port, "/")[0] == 401, "a page that asks for the login")
    for path in ("/api/workers?refresh=1", "/api/tasks", "/tasks"):
        assert get(port, path)[0] == 401
        assert get(port, path, "somebody:another")[0] == 401

    start("beat", "beat")
    # It asks and waits a second; a worker that has just started may not answer in that.
    workers = wait_for(
        lambda: json.loads(get(port, "/api/workers?refresh=1", LOGIN)[1] or "{}"),
        "the worker's answer",
    )
    (worker,) = workers.values()
    queues = {queue.name for queue in app.conf.task_queues}
    assert {queue["name"] for queue in worker["active_queues"]} == queues >= {"capture", "ticks"}
    assert {"tasks.ticks.take", "tasks.rollups.roll_up"} <= set(worker["registered"])

    def ticks() -> list[dict[str, Any]]:
        tasks = json.loads(get(port, "/api/tasks?taskname=tasks.ticks.take", LOGIN)[1])
        return [task for task in tasks.values() if task["state"] == "SUCCESS"]

    (tick, *_) = wait_for(ticks, "a tick that Flower has seen end")
    assert "'outcome': 'taken'" in tick["result"]
    assert get(port, "/tasks", LOGIN)[0] == 200


def test_its_page_says_in_words_what_tasks_do(
    celery_setup: CeleryTestSetup, start: Any, port: int, books: Books
) -> None:
    """In a real browser; a provider with markup in its name is a text like any other."""
    start("flower", "flower", FLOWER_PORT=str(port), FLOWER_BASIC_AUTH=LOGIN)
    wait_for(lambda: get(port, "/")[0] == 401, "a page that asks for the login")
    hostile = "<img src=x onerror=document.title='taken'>"
    books.spend("openai")
    books.spend(hostile)
    start("beat", "beat")
    user, _, password = LOGIN.partition(":")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(tool("chromium")), args=["--no-sandbox"]
        )
        page = browser.new_page(
            http_credentials={"username": user, "password": password},
            viewport={"width": 1500, "height": 800},
        )

        def told() -> str:
            page.goto(f"http://127.0.0.1:{port}/tasks?name=tasks.rollups.roll_up")
            page.wait_for_selector("#tasks-table tbody tr")
            return page.inner_text("#tasks-table")

        for provider in ("openai", hostile):
            line = f"Count what is new from {provider}, up to tick "
            wait_for(lambda line=line: line in told(), f"{line!r} on the page", 60)
        assert page.title() != "taken"
        if picture := os.environ.get("SPENDBEAT_PICTURES"):
            page.goto(f"http://127.0.0.1:{port}/tasks")
            page.wait_for_selector("#tasks-table tbody tr")
            page.screenshot(path=f"{picture}/flower.png")
        browser.close()


def test_flower_does_not_start_open_to_others(start: Any, port: int) -> None:
    """On an address that others reach, without a login: one message, exit 1."""
    flower = start("flower", "flower", FLOWER_PORT=str(port), FLOWER_ADDRESS="0.0.0.0")
    wait_for(lambda: not flower.running, "its refusal")
    assert flower.process.returncode == 1
    assert "FLOWER_BASIC_AUTH" in flower.logs()
    assert "Traceback" not in flower.logs()
