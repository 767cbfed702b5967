"""Flower shows and stops everything, so beyond this machine it does not start without a login."""

import ipaddress
import sys

from tornado.options import options


def require_login_or_exit(configured: str) -> None:
    """End the process, with a message, where Flower would be open to others."""
    address = options.address or configured
    if _loopback(address) or options.basic_auth or options.auth or options.unix_socket:
        return
    sys.exit(
        f"Error: Flower would listen on {address or 'every address'} without a login. Set"
        " FLOWER_BASIC_AUTH to user:password, or SPENDBEAT_BIND to 127.0.0.1."
    )


def _loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
