"""Where a request may go: never into the own network, unless the operator listed it.

A name is looked up, each of its addresses is checked, and the connection is then made to exactly
those: a name server that answers differently the second time is not asked a second time.
"""

import re
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_network
from queue import Empty, SimpleQueue
from urllib.parse import urlsplit

from spend.delivery import addresses
from spend.delivery.addresses import Address, Network
from spend.errors import BadInputError

# (host, port) to the texts of its addresses; OSError where it has none.
Resolve = Callable[[str, int], Sequence[str]]

_LOOK_UP_SECONDS = 5.0
_LONGEST = 2000
_AUTHORITY = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::([0-9]{1,5}))?", re.ASCII)
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*", re.ASCII)
# What a resolver may take for an IPv4 address: WHATWG's URL standard, "ends in a number".
_NUMERIC = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)", re.ASCII)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_FIRST_FREE_PORT = 1024
_LAST_PORT = 65535


class AddressError(BadInputError):
    """This is not an address that messages can be sent to."""


class ForbiddenError(AddressError):
    """It leads to where nobody allowed messages to go."""


class UnresolvedError(AddressError):
    """The name has no address."""


@dataclass(frozen=True)
class Networks:
    """What the operator listed: networks, and names whatever they lead to."""

    networks: tuple[Network, ...] = ()
    hosts: frozenset[str] = frozenset()

    def lists(self, host: str, address: Address) -> bool:
        return host in self.hosts or any(
            address.version == network.version and address in network for network in self.networks
        )


@dataclass(frozen=True)
class Url:
    """A checked URL. host: lower case, without brackets and final dot; target: path and query,
    which may hold a secret and are not in its repr.
    """

    scheme: str
    host: str
    port: int
    target: str = field(repr=False)

    @property
    def origin(self) -> str:
        """As it may be shown: scheme, host and a port that is not the usual one."""
        return f"{self.scheme}://{self.authority}"

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = self.port == _DEFAULT_PORTS[self.scheme]
        return host if usual else f"{host}:{self.port}"

    @property
    def text(self) -> str:
        return f"{self.origin}{self.target}"


@dataclass(frozen=True)
class Checked:
    """Addresses that may be connected to. listed: the operator listed each of them."""

    addresses: tuple[Address, ...]
    listed: bool


def networks(text: str) -> Networks:
    """Networks (CIDR), addresses and host names, separated by commas. Raises AddressError."""
    found: list[Network] = []
    hosts: set[str] = set()
    for entry in filter(None, re.split(r"[,\s]+", text)):
        try:
            found.append(ip_network(entry))
        except ValueError:
            name = entry.lower().removesuffix(".")
            if "/" in entry or not _NAME.fullmatch(name) or _ends_in_number(name):
                raise AddressError(
                    f"{entry!r:.100} is neither a network such as 10.1.0.0/16 or fd00::/8 (with"
                    " nothing set behind its prefix), nor an address, nor a host name."
                ) from None
            hosts.add(name)
    return Networks(tuple(found), frozenset(hosts))


def parse(text: str) -> Url:
    """A URL that can be sent to, as far as its text says. Raises AddressError, without the text
    of path and query.
    """
    if len(text) > _LONGEST or not text.isascii() or not text.isprintable() or " " in text:
        raise AddressError(
            f"A URL has at most {_LONGEST} characters, all of them ASCII without spaces: write"
            " a name such as bücher.example as xn--bcher-kva.example, and %20 for a space."
        )
    try:
        parts = urlsplit(text)
    except ValueError:
        raise AddressError("This is not a URL such as https://example.com/hook.") from None
    if parts.scheme not in _DEFAULT_PORTS or "\\" in text or not parts.netloc:
        raise AddressError("A URL begins with https:// or http:// and a host, and has no \\.")
    if "@" in parts.netloc:
        raise AddressError("A URL must not name a user or a password before its host.")
    if "#" in text:
        raise AddressError("A URL must not have a part behind #, which is never sent.")
    found = _AUTHORITY.fullmatch(parts.netloc)
    if not found:
        raise AddressError(f"{parts.netloc!r:.100} is not a host, or a host and a port.")
    port = int(found[3]) if found[3] else _DEFAULT_PORTS[parts.scheme]
    if not 1 <= port <= _LAST_PORT:
        raise AddressError(f"{port} is not a port.")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Url(parts.scheme, _host(found[1], found[2]), port, target)


def check(url: Url, allowed: Networks, resolve: Resolve | None = None) -> Checked:
    """Look the host up and check every address. Raises ForbiddenError, UnresolvedError."""
    found = _addresses(url, resolve or look_up)
    listed = all(allowed.lists(url.host, address) for address in found)
    for address in found:
        if not (addresses.is_public(address) or allowed.lists(url.host, address)):
            host = url.host
            where = host if host == str(address) else f"{host} leads to {address}, which"
            raise ForbiddenError(
                f"{where} is not in the internet but in a network of its own. An operator"
                " who wants messages to go there lists the host or its"
                " network in SPENDBEAT_WEBHOOK_ALLOWED."
            )
    if url.port < _FIRST_FREE_PORT and url.port not in _DEFAULT_PORTS.values() and not listed:
        raise ForbiddenError(
            f"Port {url.port} of {url.host} is not one for HTTP: use 443, 80 or one from"
            f" {_FIRST_FREE_PORT}, or let an operator list the host in SPENDBEAT_WEBHOOK_ALLOWED."
        )
    return Checked(found, listed)


def look_up(host: str, port: int) -> list[str]:
    """The addresses that this machine's resolver gives, within seconds. Raises OSError."""
    answers: SimpleQueue[list[str] | OSError] = SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answers.put([str(entry[4][0]) for entry in found])
        except OSError as error:
            answers.put(error)

    # getaddrinfo knows no time limit; one that hangs is left to end by itself.
    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=_LOOK_UP_SECONDS)
    except Empty:
        raise TimeoutError(f"no answer within {_LOOK_UP_SECONDS:.0f} s") from None
    if isinstance(answer, OSError):
        raise answer
    return answer


def _addresses(url: Url, resolve: Resolve) -> tuple[Address, ...]:
    try:
        return (addresses.plain(addresses.read(url.host)),)
    except ValueError:
        pass
    try:
        texts = resolve(url.host, url.port)
        # A resolver may name one address several times.
        found = tuple(dict.fromkeys(addresses.plain(addresses.read(text)) for text in texts))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UnresolvedError(f"The name {url.host} cannot be resolved: {reason}.") from None
    if not found:
        raise UnresolvedError(f"The name {url.host} has no address.")
    return found


def _host(six: str | None, other: str | None) -> str:
    if six is not None:
        try:
            return str(IPv6Address(six))
        except ValueError:
            raise AddressError(f"[{six:.100}] is not an IPv6 address.") from None
    host = (other or "").lower()
    name = host.removesuffix(".")
    if _ends_in_number(name):
        try:
            return str(IPv4Address(host))
        except ValueError:
            raise AddressError(
                f"{host:.100} is an odd spelling of an address: write four decimal numbers, as in"
                " 192.0.2.1."
            ) from None
    if not _NAME.fullmatch(name):
        raise AddressError(f"{host!r:.100} is not a host name.")
    return name


def _ends_in_number(name: str) -> bool:
    return _NUMERIC.fullmatch(name.removesuffix(".").rpartition(".")[2]) is not None
