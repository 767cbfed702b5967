"""Which IP addresses lie in the internet, and which in somebody's own network.

The networks are those of IANA's special-purpose address registries. Python's `is_global` knows most
of them too, but not the same in each release, and does not look into addresses that carry another
one.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NOT_PUBLIC_4 = [
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network; 0.0.0.0 connects to this machine
        "10.0.0.0/8",
        "100.64.0.0/10",  # shared by customers of a carrier, and clouds' own services
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local, with the clouds' metadata
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
]
# Azure's platform (metadata, DNS, health) has a public address that is reachable from its own
# machines only: https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
_NOT_PUBLIC_4.append(IPv4Network("168.63.129.16/32"))

# The only part of IPv6 that is given out for the internet; loopback, unique local (fd00:ec2::254
# too), link-local, site-local, multicast and IPv4-compatible addresses are outside of it.
_UNICAST_6 = IPv6Network("2000::/3")
_NOT_PUBLIC_6 = [
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",  # documentation
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
]
_NAT64 = IPv6Network("64:ff9b::/96")
_6TO4 = IPv6Network("2002::/16")
_ISATAP = {0x00005EFE, 0x02005EFE}
_LOW = 0xFFFF_FFFF


def is_public(address: Address) -> bool:
    """Whether packets to it leave for the internet, as far as the address says."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_4)
    carried = inner(address)
    if carried is not None and not is_public(carried):
        return False
    if address.ipv4_mapped is not None or address in _NAT64:
        return True
    return address in _UNICAST_6 and not any(address in network for network in _NOT_PUBLIC_6)


def inner(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 one leads to: mapped, NAT64, 6to4 or ISATAP."""
    number = int(address)
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return IPv4Address(number & _LOW)
    if address in _6TO4:
        return IPv4Address(number >> 80 & _LOW)
    if number >> 32 & _LOW in _ISATAP:
        return IPv4Address(number & _LOW)
    return None


def plain(address: Address) -> Address:
    """An IPv4-mapped address as the IPv4 address that it is."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def read(text: str) -> Address:
    """An address as a resolver gives it, without its zone. Raises ValueError."""
    return ip_address(text.partition("%")[0])
