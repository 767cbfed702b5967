"""The HTTP service on loopback, in a thread of the test, and events to send to it."""

import gzip
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from uvicorn import Config, Server

from spend import tokens
from tests.support.waiting import wait_for
from web.app import create
from worker.database import transaction
from worker.settings import load


def token(name: str = "test", *scopes: str) -> str:
    """The secret of a new token."""
    with transaction() as session:
        return tokens.create(session, name, scopes or ("ingest",))[1]


def event(number: int = 0, **more: object) -> dict[str, object]:
    """An event that can be booked; another number, another request."""
    return {
        "id": f"req-{number}",
        "started_at": "2026-11-02T10:00:00.5Z",
        "provider": "openai",
        "model": "gpt-4o",
        "input_tokens": 1000 + number,
        "output_tokens": 200,
        **more,
    }


@dataclass
class Service:
    """A running service and a client of it that carries a token."""

    url: str
    client: httpx.Client

    def post(self, body: object, path: str = "/ingest", **headers: str) -> httpx.Response:
        """Send JSON, or bytes as they are; headers in Python's spelling (content_type=...)."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        found = {"content-type": "application/json", **named}
        return self.client.post(path, content=content, headers=found)

    def post_gzipped(self, body: bytes, path: str = "/ingest", **headers: str) -> httpx.Response:
        return self.post(gzip.compress(body), path, content_encoding="gzip", **headers)


@contextmanager
def serving(secret: str | None = None, **settings: Any) -> Iterator[Service]:
    """A service with these settings beside those of the environment; no token: makes one."""
    chosen = load().model_copy(update=settings)
    # The token's own name, so that a second service of a test can have one too.
    secret = secret or token(f"test-{threading.get_ident()}-{id(settings)}")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        app = create(chosen)
        config = Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=15)
        server = Server(config)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        try:
            wait_for(lambda: server.started, "the service to start")
            bearer = {"Authorization": f"Bearer {secret}"}
            with httpx.Client(base_url=url, headers=bearer, timeout=30, trust_env=False) as client:
                yield Service(url, client)
        finally:
            server.should_exit = True
            thread.join()
