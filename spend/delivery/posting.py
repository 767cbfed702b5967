"""One HTTP POST to addresses that were checked: no redirects, no proxies, no second look-up.

urllib3 and requests bound each read, not the whole: a receiver that sends a byte every few seconds
would hold a worker for ever. Here each operation gets what is left of one deadline.
"""

import http.client
import io
import os
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from spend.delivery.addresses import Address
from spend.delivery.destination import Url
from spend.delivery.outcome import Reason

CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 15.0
# The status is what counts: whoever talks on for longer is not listened to.
BODY_SECONDS = 2.0
BODY_BYTES = 2000
MOST_ADDRESSES = 4


class PostError(Exception):
    """No answer. The message says what went wrong and holds nothing secret."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Answer:
    """retry_after: that header as it came. body: its first bytes."""

    status: int
    retry_after: str | None
    body: bytes


class Deadline:
    """A point in time that operations share."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def left(self, most: float = TOTAL_SECONDS) -> float:
        """Seconds until then, at most that many. Raises TimeoutError."""
        left = self._at - time.monotonic()
        if left <= 0:
            raise TimeoutError("no whole answer in time")
        return min(left, most)

    def sooner(self, seconds: float) -> None:
        self._at = min(self._at, time.monotonic() + seconds)


def post(
    url: Url,
    addresses: tuple[Address, ...],
    body: bytes,
    headers: Mapping[str, str],
    deadline: Deadline,
) -> Answer:
    """The answer of the first address that can be connected to. Raises PostError."""
    try:
        sock = _connected(url, addresses, deadline)
        try:
            if url.scheme == "https":
                sock = _encrypted(sock, url.host, deadline)
            return _exchange(_Timed(sock, deadline), url, body, headers, deadline)
        finally:
            sock.close()
    except TimeoutError as error:
        raise PostError("timeout", f"{error}") from None
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionError) as error:
        raise PostError("unreachable", _words(error)) from None
    except ssl.SSLError as error:
        raise PostError("tls", _words(error)) from None
    except OSError as error:
        raise PostError("unreachable", _words(error)) from None
    except http.client.HTTPException as error:
        raise PostError("not_http", f"{type(error).__name__}: this is no answer of HTTP") from None


def _connected(url: Url, addresses: tuple[Address, ...], deadline: Deadline) -> socket.socket:
    for number, address in enumerate(addresses[:MOST_ADDRESSES], 1):
        try:
            # An address in numbers: nothing is looked up again.
            sock = socket.create_connection(
                (str(address), url.port), timeout=deadline.left(CONNECT_SECONDS)
            )
        except OSError:
            if number == len(addresses[:MOST_ADDRESSES]):
                raise
        else:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
    raise ConnectionError("no address")


def _encrypted(sock: socket.socket, host: str, deadline: Deadline) -> socket.socket:
    """TLS, with the certificate checked against the name in the URL, not the address."""
    context = _context(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
    sock.settimeout(deadline.left())
    return context.wrap_socket(sock, server_hostname=host)


@lru_cache(maxsize=4)
def _context(file: str | None, folder: str | None) -> ssl.SSLContext:
    """Made anew when OpenSSL's variables change, which it reads by itself."""
    del file, folder
    return ssl.create_default_context()


def _exchange(
    wire: "_Timed", url: Url, body: bytes, headers: Mapping[str, str], deadline: Deadline
) -> Answer:
    connection = http.client.HTTPConnection(url.host, url.port)
    connection.sock = cast("Any", wire)
    connection.putrequest("POST", url.target, skip_host=True, skip_accept_encoding=True)
    sent = {
        "Host": url.authority,
        "User-Agent": "spendbeat",
        "Accept-Encoding": "identity",
        "Connection": "close",
        "Content-Length": str(len(body)),
        **headers,
    }
    for name, value in sent.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    response = connection.getresponse()
    deadline.sooner(BODY_SECONDS)
    return Answer(response.status, response.getheader("Retry-After"), _start(response))


def _start(response: http.client.HTTPResponse) -> bytes:
    """The beginning of the body; what fails after the status changes nothing about it."""
    found = b""
    try:
        while len(found) < BODY_BYTES and (more := response.read1(BODY_BYTES - len(found))):
            found += more
    except (OSError, http.client.HTTPException, ValueError):
        pass
    return found


class _Timed:
    """What http.client uses of a socket, each operation within the deadline."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline

    def sendall(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            self._sock.settimeout(self._deadline.left())
            view = view[self._sock.send(view) :]

    def makefile(self, mode: str) -> io.BufferedReader:
        del mode  # always for reading
        return io.BufferedReader(_Reader(self._sock, self._deadline))

    def close(self) -> None:
        """Left to whoever opened the socket."""


class _Reader(io.RawIOBase):
    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - what io hands over
        self._sock.settimeout(self._deadline.left())
        return self._sock.recv_into(buffer)


def _words(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate cannot be trusted: {error.verify_message}"
    return error.strerror or str(error) or type(error).__name__
