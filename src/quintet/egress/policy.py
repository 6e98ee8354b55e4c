"""Which addresses the server may talk to when a user names the URL.

Users can give URLs of upstreams, webhooks, data sources and remote graders. Without a guard each of them is a
way to reach what only this server can reach: its loopback, the private network, the cloud's metadata service
with its credentials. So an address is refused unless it is public unicast, or the operator allowed it.

Explicit tables instead of `ipaddress.is_global`: its answers have changed between patch releases of Python,
and it does not look inside the IPv6 forms that carry an IPv4 address.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from quintet.domain.errors import Invalid

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Credentials of the machine itself are to be had here. A wide allowance such as 169.254.0.0/16 or ::/0 does
# not open them: only an entry for exactly this one address does.
METADATA: frozenset[Address] = frozenset(
    ip_address(text)
    for text in (
        "169.254.169.254",  # AWS, Azure, GCP, DigitalOcean, OpenStack
        "169.254.170.2",  # AWS ECS task credentials
        "169.254.170.23",  # AWS EKS pod identity
        "168.63.129.16",  # Azure wire server: a public address that only answers inside
        "100.100.100.200",  # Alibaba
        "192.0.0.192",  # Oracle
        "fd00:ec2::254",  # AWS over IPv6
        "fd00:ec2::23",  # AWS EKS pod identity over IPv6
        "fd20:ce::254",  # GCP over IPv6
    )
)

# The IANA special-purpose registry, with the word that an error message uses.
_SPECIAL_V4: tuple[tuple[IPv4Network, str], ...] = tuple(
    (IPv4Network(net), word)
    for net, word in (
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared carrier"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "documentation"),
        ("192.88.99.0/24", "reserved"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)

# Inside global unicast, 2000::/3; everything outside of it is refused as a whole.
_SPECIAL_V6: tuple[tuple[IPv6Network, str], ...] = tuple(
    (IPv6Network(net), word)
    for net, word in (
        ("2001::/23", "reserved"),  # Teredo and ORCHID among them
        ("2001:db8::/32", "documentation"),
        ("3fff::/20", "documentation"),
    )
)
_UNICAST_V6 = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_ISATAP = frozenset({0x0000_5EFE, 0x0200_5EFE})
_NAMED_V6: tuple[tuple[IPv6Network, str], ...] = tuple(
    (IPv6Network(net), word)
    for net, word in (
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "private"),
        ("ff00::/8", "multicast"),
    )
)


class AddressPolicy:
    """Public unicast addresses, and those within `allow`: CIDR texts such as `10.1.0.0/16` or `127.0.0.1/32`."""

    def __init__(self, allow: Sequence[str] = ()) -> None:
        self._allowed = tuple(_network(text) for text in allow)

    def refusal(self, address: Address) -> str | None:
        """Why the address is refused, in one word or two for a message; None where it is fine."""
        forms = [address, *embedded_v4(address)]
        for form in forms:
            reason = self._refusal_of(form)
            if reason is not None:
                return reason
        return None

    def _refusal_of(self, address: Address) -> str | None:
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            # The IPv4 address is the whole meaning of this form, and it is judged by itself.
            return None
        if address in METADATA:
            exact = any(net.num_addresses == 1 and address in net for net in self._allowed)
            return None if exact else "cloud metadata"
        if any(address in net for net in self._allowed):
            return None
        return _kind_v4(address) if isinstance(address, IPv4Address) else _kind_v6(address)


def embedded_v4(address: Address) -> list[IPv4Address]:
    """The IPv4 addresses that an IPv6 address would lead to: mapped, 6to4, NAT64 and ISATAP forms."""
    if isinstance(address, IPv4Address):
        return []
    found = [a for a in (address.ipv4_mapped, address.sixtofour) if a is not None]
    low = int(address) & 0xFFFF_FFFF
    if address in _NAT64 or (int(address) >> 32) & 0xFFFF_FFFF in _ISATAP:
        found.append(IPv4Address(low))
    return found


def _kind_v4(address: IPv4Address) -> str | None:
    return next((word for net, word in _SPECIAL_V4 if address in net), None)


def _kind_v6(address: IPv6Address) -> str | None:
    if address in _NAT64:
        # How a public IPv4 host looks from a network without IPv4; the address inside is judged by itself.
        return None
    if address.scope_id is not None:
        return "link-local"
    if address in _UNICAST_V6:
        return next((word for net, word in _SPECIAL_V6 if address in net), None)
    return next((word for net, word in _NAMED_V6 if address in net), "reserved")


def _network(text: str) -> Network:
    try:
        return ip_network(text.strip(), strict=False)
    except ValueError:
        raise Invalid(f"'{text}' is not a network such as 10.0.0.0/8 or ::1/128", field="egress_allow") from None
