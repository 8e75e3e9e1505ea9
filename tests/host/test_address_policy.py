"""Which addresses a node connects to: metadata services in no notation, private ones where they may be."""

from __future__ import annotations

import pytest

from stigmem.host.address_policy import AddressPolicy, Forbidden, check_address

NEVER = {
    "link-local": ["169.254.169.254", "169.254.170.2", "169.254.42.42", "fe80::1", "fe80::a9fe:a9fe", "fe80::1%lo"],
    "site-local": ["fec0::1", "feff:ffff::1"],
    "unspecified, this network": ["0.0.0.0", "0.0.0.1", "0.255.255.255", "::"],
    "multicast, broadcast": ["224.0.0.1", "239.255.255.255", "255.255.255.255", "ff02::1", "ff0e::1"],
    "reserved": ["240.0.0.1", "254.1.1.1", "4000::1", "100::1", "e000::1"],
    "protocol assignments": ["192.0.0.192", "192.0.0.1", "192.0.0.170", "192.88.99.1"],
    "metadata and host agents": [
        "168.63.129.16", "100.100.100.200", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fd00:c1::a9fe:a9fe",
        "fd00:42::42", "fd00:a9fe:a9fe::1", "fd00:100::100:200",
    ],
    "6to4": ["2002:a9fe:a9fe::1", "2002:a00:1::1", "2002:7f00:1::", "2002:808:808::1"],
    "Teredo": ["2001::1", "2001:0:a9fe:a9fe::", "2001:0:808:808:0:0:5601:5601", "2001:0:1:2:3:4:f5ff:fffe"],
    "ISATAP": ["2606:4700::5efe:a00:1", "2606:4700::200:5efe:a9fe:a9fe", "fd12::5efe:c0a8:101"],
    "IPv4-mapped": ["::ffff:169.254.169.254", "::ffff:168.63.129.16", "::ffff:192.0.0.192", "::ffff:0.0.0.0"],
    "IPv4-compatible": ["::169.254.169.254", "::10.0.0.1", "::8.8.8.8", "::7f00:1"],
    "IPv4-translated": ["::ffff:0:169.254.169.254", "::ffff:0:10.0.0.1", "::ffff:0:8.8.8.8"],
    "NAT64 to an address that is not public": [
        "64:ff9b::169.254.169.254", "64:ff9b::168.63.129.16", "64:ff9b::10.0.0.1", "64:ff9b::172.16.0.1",
        "64:ff9b::192.168.1.1", "64:ff9b::127.0.0.1", "64:ff9b::100.64.0.1", "64:ff9b::0.0.0.0", "64:ff9b::224.0.0.1",
        "64:ff9b::192.0.0.192", "64:ff9b::198.18.0.1",
    ],
    "NAT64 of one network": ["64:ff9b:1::a9fe:a9fe", "64:ff9b:1:a9fe:0:a9fe::", "64:ff9b:1::808:808"],
}  # fmt: skip
NOT_PUBLIC = {
    "loopback": ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"],
    "private": ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fd12:3456::1"],
    "private, mapped": ["::ffff:10.0.0.1", "::ffff:192.168.1.1"],
    "shared": ["100.64.0.1", "100.127.255.255"],
    "tests and documentation": ["198.18.0.1", "192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "2001:2::1"],
}
PUBLIC = {
    "IPv4": ["93.184.216.34", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.32.0.1", "168.63.129.17", "11.0.0.1"],
    "IPv6": ["2606:2800:220:1::1", "2a00:1450:4001::1", "2600:1f18::254"],
    "IPv4-mapped": ["::ffff:93.184.216.34"],
    "NAT64 to a public address": ["64:ff9b::93.184.216.34", "64:ff9b::8.8.8.8"],
}


def rows(table: dict[str, list[str]]) -> list[object]:
    return [pytest.param(address, id=f"{kind} {address}") for kind, addresses in table.items() for address in addresses]


def allowed(address: str, policy: AddressPolicy) -> bool:
    try:
        check_address(address, policy)
    except Forbidden:
        return False
    return True


@pytest.mark.parametrize("address", rows(NEVER))
def test_no_peer_lives_there(address: str) -> None:
    """6to4, site-local, Teredo and several metadata services passed."""
    assert (allowed(address, "any"), allowed(address, "public")) == (False, False)


@pytest.mark.parametrize("address", rows(NOT_PUBLIC))
def test_a_peer_of_ones_own_network_may_live_there(address: str) -> None:
    assert (allowed(address, "any"), allowed(address, "public")) == (True, False)


@pytest.mark.parametrize("address", rows(PUBLIC))
def test_a_peer_may_live_there(address: str) -> None:
    assert (allowed(address, "any"), allowed(address, "public")) == (True, True)
