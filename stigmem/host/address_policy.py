"""Which addresses a node connects to: no peer lives at the address of a metadata service, however it is written.

A peer's URL comes from outside, and the node fetches it. Whoever may register can so have it send requests to where
only it can reach: to the cloud's metadata service, which hands out credentials, to the host's agent, to a neighbour.
The check is made on the resolved address that is then connected to (`stigmem.host.dialing`), never on a name.

Three kinds are refused whatever the policy:

1. Addresses that mean no machine of somebody's: link-local, site-local, multicast, unspecified, reserved, "this
   network" (0.0.0.0/8), protocol assignments (192.0.0.0/24).
2. Metadata services and host agents at addresses of the ordinary kind. The list is that of the large providers, and no
   such list is ever complete; what is known is in it.
3. Transition mechanisms that carry an IPv4 address inside an IPv6 one, for such an address is a way around a check of
   the outer one: 6to4, Teredo, ISATAP, IPv4-compatible and IPv4-translated addresses are of the past and refused
   altogether. NAT64 is of the present, where a network has IPv6 only: it may carry a public IPv4 address and no other.
   An IPv4-mapped address is the IPv4 address itself.

With `public` the address must moreover be one of the public internet.

Known wart: a network may translate under a prefix of its own (RFC 6052, 2.2), and nobody outside can tell.
"""

from __future__ import annotations

import ipaddress
from ipaddress import IPv4Address, IPv6Address
from typing import Final, Literal

__all__ = ["AddressPolicy", "Forbidden", "check_address"]

AddressPolicy = Literal["any", "public"]
"""Which addresses peers may have: `any` that can be a peer's, or only `public` ones."""

_NEVER: Final = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",  # this network: Linux takes 0.0.0.0 for itself
        "192.0.0.0/24",  # protocol assignments; 192.0.0.192 is Oracle's metadata service
        "192.88.99.0/24",  # relays of 6to4
        "100.100.100.200/32",  # Alibaba's metadata service
        "168.63.129.16/32",  # the agent of an Azure host
        "fd00:ec2::/32",  # Amazon's services of an instance
        "fd20:ce::254/128",  # Google's metadata service
        "fd00:c1::a9fe:a9fe/128",  # Oracle's
        "fd00:42::42/128",  # Scaleway's
        "fd00:a9fe:a9fe::1/128",  # Linode's
        "fd00:100::100:200/128",  # Alibaba's
        "fec0::/10",  # site-local, withdrawn
        "2001::/32",  # Teredo
        "2002::/16",  # 6to4
        "::ffff:0:0:0/96",  # IPv4-translated
        "64:ff9b:1::/48",  # NAT64 of one network's own: where the IPv4 address stands in it, only that network knows
        "100::/64",  # discard
    )
)
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_ISATAP: Final = (0x0000_5EFE, 0x0200_5EFE)
"""The upper half of an interface identifier whose lower half is an IPv4 address (RFC 5214)."""


class Forbidden(Exception):
    """The address is not one that this node connects to."""


def check_address(address: str, policy: AddressPolicy) -> None:
    """Raises Forbidden for addresses that no peer has any business at."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    if isinstance(ip, IPv6Address) and ip in _NAT64:
        inner = IPv4Address(int(ip) & 0xFFFF_FFFF)
        good = inner.is_global and not _is_never(inner)
    else:
        good = not _is_never(ip) and (policy == "any" or ip.is_global)
    if not good:
        raise Forbidden(f"{address} is not an address that peers may have here")


def _is_never(ip: IPv4Address | IPv6Address) -> bool:
    if ip.is_loopback:  # "reserved" in IPv6; peers on one machine are for the policy `public` to forbid
        return False
    if ip.is_link_local or ip.is_multicast or ip.is_unspecified or ip.is_reserved:
        return True
    if isinstance(ip, IPv6Address) and int(ip) >> 32 & 0xFFFF_FFFF in _ISATAP:
        return True
    return any(ip in network for network in _NEVER if network.version == ip.version)
