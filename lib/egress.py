"""Which addresses the server may speak to on somebody's behalf (promises.md, "Egress").

Checks are made on resolved addresses, never on the text of a URL.
"""

import ipaddress
from collections.abc import Iterable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class EgressDenied(Exception):
    """The address is private, and the operator did not permit it."""


class EgressPolicy:
    """Global unicast addresses, and the networks that the operator lists."""

    def __init__(self, allow: Iterable[str] = ()) -> None:
        self._allow: tuple[Network, ...] = tuple(ipaddress.ip_network(net) for net in allow)

    def permits(self, address: str) -> bool:
        ip = _unmapped(ipaddress.ip_address(address.partition("%")[0]))
        if any(ip.version == net.version and ip in net for net in self._allow):
            return True
        return ip.is_global and not ip.is_multicast and not ip.is_reserved

    def check(self, address: str) -> None:
        if not self.permits(address):
            raise EgressDenied(
                f"{address} is not a public address. "
                "An operator can permit it in settings.egress_allow."
            )


def _unmapped(ip: Address) -> Address:
    """The IPv4 address inside a mapped, 6to4, Teredo or NAT64 address: those are judged by it."""
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    if ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    if ip.sixtofour is not None:
        return ip.sixtofour
    if ip.teredo is not None:
        return ip.teredo[1]
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip
