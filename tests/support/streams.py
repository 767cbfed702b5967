"""A client of /events: reads in a thread, and keeps what it was told."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.support.waiting import wait_for


@dataclass(frozen=True)
class Told:
    kind: str
    id: str
    data: dict[str, Any]


@dataclass
class Stream:
    """status: None until there is an answer. over: the server ended it."""

    url: str
    secret: str
    headers: dict[str, str] = field(default_factory=dict)
    status: int | None = None
    answered: httpx.Headers = field(default_factory=httpx.Headers)
    body: str = ""
    told: list[Told] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    last_id: str = ""
    over: bool = False

    def __post_init__(self) -> None:
        self._response: httpx.Response | None = None
        self._thread = threading.Thread(target=self._read, daemon=True)

    def _read(self) -> None:
        headers = {"Authorization": f"Bearer {self.secret}", **self.headers}
        timeout = httpx.Timeout(30, read=60)
        try:
            with (
                httpx.Client(trust_env=False, timeout=timeout) as client,
                client.stream("GET", self.url, headers=headers) as response,
            ):
                self._response = response
                self.answered = response.headers
                if response.status_code != 200:
                    self.body = response.read().decode()
                    self.status = response.status_code
                    return
                self.status = 200
                self._parse(response.iter_lines())
        except (httpx.HTTPError, httpx.StreamError, OSError):
            pass
        finally:
            self.over = True

    def _parse(self, lines: Iterator[str]) -> None:
        event: dict[str, str] = {}
        for line in lines:
            self.lines.append(line)
            if line:
                name, _, value = line.partition(": ")
                event[name] = value
                continue
            self.last_id = event.get("id", self.last_id)
            if "data" in event:
                data = json.loads(event["data"])
                self.told.append(Told(event["event"], self.last_id, data))
            event = {}

    def start(self) -> "Stream":
        self._thread.start()
        wait_for(lambda: self.status or self.over, "an answer")
        if self.status == 200:
            wait_for(lambda: self.lines, "the opening")
        return self

    def have(self, count: int) -> list[Told]:
        """What it was told, once that is so much."""
        wait_for(lambda: len(self.told) >= count, f"{count} events")
        return self.told

    def ids(self) -> list[int]:
        """The positions of what it was told."""
        return [int(one.id.rpartition("-")[2]) for one in self.told]

    def wait_until_over(self) -> None:
        wait_for(lambda: self.over, "the stream to end")
        self._thread.join()

    def close(self) -> None:
        """Hang up, from this thread."""
        response = self._response
        if response is not None and not self.over:
            stream = response.extensions["network_stream"]
            with suppress(OSError):  # it has just ended by itself
                stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        self._thread.join()


@contextmanager
def listening(url: str, secret: str, path: str = "/events", **headers: str) -> Iterator[Stream]:
    """Headers in Python's spelling (last_event_id=...)."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    stream = Stream(url + path, secret, named).start()
    try:
        yield stream
    finally:
        stream.close()


def deaf(url: str, secret: str) -> socket.socket:
    """A client that asks, and reads nothing of the answer but its beginning."""
    parts = urlsplit(url)
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.connect((parts.hostname, parts.port))
    made.sendall(
        f"GET /events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {secret}\r\n\r\n".encode()
    )
    made.settimeout(30)
    assert made.recv(15) == b"HTTP/1.1 200 OK"
    return made
