"""A message never goes into the own network, however its address is spelt."""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spend.delivery import addresses, destination
from spend.delivery.destination import AddressError, ForbiddenError, Networks, UnresolvedError

NOBODY = Networks()

INSIDE = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "100.100.100.200",  # Alibaba Cloud's metadata
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",  # Azure's platform
    "169.254.169.254",
    "172.31.255.255",
    "192.0.0.192",  # Oracle Cloud's metadata, formerly
    "192.0.2.1",
    "192.168.0.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",  # IPv4-compatible
    "::ffff:127.0.0.1",
    "::ffff:a9fe:a9fe",
    "::ffff:0:127.0.0.1",  # IPv4-translated
    "64:ff9b::10.0.0.1",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::8.8.8.8",  # a network's own translation
    "100::1",
    "2001:0:7f00:1::1",  # Teredo
    "2001:db8::1",
    "2002:7f00:1::1",  # 6to4
    "2002:a9fe:a9fe::1",
    "2002:c0a8:101::",
    "2600:1900::5efe:a00:1",  # ISATAP
    "2600:1900::200:5efe:c0a8:1",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fd20:ce::254",  # Google's metadata
    "fe80::1",
    "fe80::1%eth0",
    "febf::1",
    "fec0::1",
    "ff02::1",
]
OUTSIDE = [
    "1.1.1.1",
    "8.8.8.8",
    "100.63.255.255",
    "100.128.0.1",
    "172.32.0.1",
    "223.255.255.254",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2001:4860:4860::8888",
    "2600:1901::1",
    "2a00:1450:4001::1",
]
# What some resolver, library or browser takes for an address inside.
ODD = [
    "http://127.1/",
    "http://127.0.1/",
    "http://127.0.0.1./",
    "http://0x7f000001/",
    "http://0x7f.0.0.1/",
    "http://0X7F.1/",
    "http://2130706433/",
    "http://017700000001/",
    "http://0177.0.0.1/",
    "http://127.000.000.001/",
    "http://127.0.0.0x1/",
    "http://1/",
    "http://0/",
    "http://0x/",
    "http://4294967297/",
    "http://127.0.0.1.1/",
    "http://example.com.0x7f/",
    "http://[::1%25lo]/",
    "http://[fe80::1%eth0]/",
    "http://[::ffff:127.1]/",
    "http://[::1/",
    "http://::1/",
    "http://[]/",
    "http://[1.1.1.1]/",
    "http://user@example.com/",
    "http://user:password@example.com/",
    "http://example.com@127.0.0.1/",
    "http://example.com:80@127.0.0.1/",
    "http://@127.0.0.1/",
    "http://127.0.0.1\\@example.com/",
    "http://example.com\\.evil.example/",
    "http:\\\\127.0.0.1/",
    "http://127%2e0%2e0%2e1/",
    "http://%31%32%37.0.0.1/",
    "http://\uff11\uff12\uff17.0.0.1/",
    "http://\u2460\u2461\u2466.0.0.1/",
    "http://127\u30020\u30020\u30021/",
    "http://b\u00fccher.example/",
    "http://example.com..",
    "http://.example.com/",
    "http://exa mple.com/",
    "http://example.com/a b",
    "http://example.com/a\\b",
    "http://example.com/\r\nHost: x",
    "http://example.com/\x00",
    "http://example.com/\t",
    " http://example.com/",
    "http://example.com/#part",
    "http://example.com:0/",
    "http://example.com:65536/",
    "http://example.com:+80/",
    "http://example.com:80:80/",
    "http://example.com:\uff18\uff10/",
    "http://" + "a" * 64 + ".example/",
    "http://" + "a." * 127 + "example/",
    "http://example.com/" + "a" * 2000,
    "http:///path",
    "http:127.0.0.1",
    "//example.com/",
    "example.com/hook",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://127.0.0.1/",
    "unix:///run/postgres",
    "https+unix://x/",
    "javascript:alert(1)",
    "",
]


@pytest.mark.parametrize("text", INSIDE)
def test_an_address_inside_is_no_public_one(text: str) -> None:
    assert not addresses.is_public(addresses.read(text))


@pytest.mark.parametrize("text", OUTSIDE)
def test_an_address_of_the_internet_is_public(text: str) -> None:
    assert addresses.is_public(ip_address(text))


@pytest.mark.parametrize("url", ODD)
def test_an_odd_spelling_is_refused_before_anything_is_looked_up(url: str) -> None:
    with pytest.raises(AddressError):
        destination.check(destination.parse(url), NOBODY, lambda *_: ["8.8.8.8"])


@pytest.mark.parametrize("text", [text for text in INSIDE if "%" not in text])
def test_an_address_inside_is_refused_written_out_and_behind_a_name(text: str) -> None:
    host = f"[{text}]" if ":" in text else text
    with pytest.raises(ForbiddenError, match="SPENDBEAT_WEBHOOK_ALLOWED"):
        destination.check(destination.parse(f"https://{host}/x"), NOBODY)
    with pytest.raises(ForbiddenError):
        destination.check(
            destination.parse("https://example.com/x"), NOBODY, lambda *_: ["8.8.8.8", text]
        )


@given(
    st.one_of(
        st.text(),
        st.text(alphabet="0123456789abcdefx.:[]@/\\\\%#?-_ \u3002\uff11"),
        st.from_regex(r"(0x)?[0-9a-f]{1,10}(\.(0x)?[0-9a-f]{1,4}){0,4}\.?", fullmatch=True),
        st.ip_addresses().map(str),
    )
)
def test_what_is_accepted_means_the_same_to_every_reader(text: str) -> None:
    """Nothing but AddressError is raised, and no host is left that a resolver reads otherwise."""
    for given_url in (f"http://{text}", f"https://[{text}]:8443/x?y", text):
        try:
            url = destination.parse(given_url)
        except AddressError:
            continue
        assert destination.parse(url.text) == url
        try:
            read = socket.inet_aton(url.host)  # takes 127.1, 0x7f000001 and the like
        except OSError:
            continue
        assert IPv4Address(read) == IPv4Address(url.host)


def test_a_login_in_a_url_is_refused_without_being_shown() -> None:
    with pytest.raises(AddressError, match="user or a password") as caught:
        destination.parse("https://me:hunter2@example.com/")
    assert "hunter2" not in str(caught.value)


def test_this_machines_own_resolver_leads_nobody_to_this_machine() -> None:
    for host in ("localhost", "LOCALHOST.", "LocalHost"):
        with pytest.raises(ForbiddenError):
            destination.check(destination.parse(f"http://{host}:8000/"), NOBODY)


def test_a_url_keeps_its_path_and_query_and_hides_them() -> None:
    url = destination.parse("https://Example.COM.:8443/a//b?c=%20d&e=secret")
    assert (url.scheme, url.host, url.port) == ("https", "example.com", 8443)
    assert url.target == "/a//b?c=%20d&e=secret"
    assert url.text == "https://example.com:8443/a//b?c=%20d&e=secret"
    assert "secret" not in repr(url)
    assert destination.parse("https://[2600:0:0::1]/").authority == "[2600::1]"
    assert destination.parse("http://example.com?x").target == "/?x"
    assert destination.parse("https://example.com:443/").origin == "https://example.com"


def test_what_the_operator_lists_may_be_gone_to_and_nothing_else() -> None:
    allowed = destination.networks("10.1.0.0/16, fd00::/8 hooks.internal,192.168.7.9")
    for text in ("10.1.255.255", "[fd00::1]", "192.168.7.9", "[::ffff:10.1.0.1]"):
        assert destination.check(destination.parse(f"http://{text}/"), allowed).listed
    for text in ("10.2.0.0", "192.168.7.8", "[fe80::1]", "127.0.0.1"):
        with pytest.raises(ForbiddenError):
            destination.check(destination.parse(f"http://{text}/"), allowed)
    named = destination.parse("http://Hooks.Internal./")
    assert destination.check(named, allowed, lambda *_: ["127.0.0.1"]).listed
    for other in ("http://x.hooks.internal/", "http://hooks.internal.example/"):
        with pytest.raises(ForbiddenError):
            destination.check(destination.parse(other), allowed, lambda *_: ["127.0.0.1"])


@pytest.mark.parametrize(
    "entry", ["10.0.0.1/8", "10.0.0.0/33", "a b/", "exa_mple/8", "127.1", "-x"]
)
def test_a_mistake_in_the_list_of_networks_is_no_host_name(entry: str) -> None:
    with pytest.raises(AddressError, match="neither a network"):
        destination.networks(entry)


def test_a_port_of_another_service_needs_the_operator() -> None:
    def public(*_: object) -> list[str]:
        return ["8.8.8.8"]

    for port in (80, 443, 1024, 8443, 65535):
        destination.check(destination.parse(f"https://example.com:{port}/"), NOBODY, public)
    with pytest.raises(ForbiddenError, match="Port 25"):
        destination.check(destination.parse("https://example.com:25/"), NOBODY, public)
    listed = destination.networks("example.com")
    assert destination.check(destination.parse("https://example.com:25/"), listed, public).listed


def test_a_name_without_an_address_says_so() -> None:
    url = destination.parse("https://nothing.invalid/")

    def none(*_: object) -> list[str]:
        raise OSError(-2, "Name or service not known")

    with pytest.raises(UnresolvedError, match=r"nothing\.invalid"):
        destination.check(url, NOBODY, none)
    for answer in ([], ["not an address"]):
        with pytest.raises(UnresolvedError):
            destination.check(url, NOBODY, lambda *_, answer=answer: answer)


def test_a_mapped_address_is_connected_to_as_what_it_is() -> None:
    url = destination.parse("https://example.com/")
    checked = destination.check(url, NOBODY, lambda *_: ["::ffff:8.8.8.8", "8.8.8.8", "8.8.8.8"])
    assert [str(address) for address in checked.addresses] == ["8.8.8.8"]
    assert addresses.plain(IPv6Address("2600::1")) == IPv6Address("2600::1")
