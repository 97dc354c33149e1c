"""Which addresses may be reached, in whatever way they are written, and what the allow-list says."""

import os
import subprocess
import sys
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opscenter.base.addresses import KINDS, is_name, kind_of, literal, parse_allow, plain
from opscenter.base.config import Misconfigured
from opscenter.base.outbound_errors import KIND_WORDS


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("169.254.169.254", "metadata"),
        ("169.254.170.2", "metadata"),
        ("168.63.129.16", "metadata"),
        ("100.100.100.200", "metadata"),
        ("192.0.0.192", "metadata"),
        ("fd00:ec2::254", "metadata"),
        ("fd20:ce::254", "metadata"),
        ("0.0.0.0", "unspecified"),
        ("0.1.2.3", "unspecified"),
        ("::", "unspecified"),
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("::1", "loopback"),
        ("10.0.0.1", "private"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.168.255.255", "private"),
        ("fc00::1", "private"),
        ("fdff::1", "private"),
        ("100.64.0.1", "shared"),
        ("100.127.255.255", "shared"),
        ("169.254.0.1", "link-local"),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "scoped"),
        ("2606:4700::1%1", "scoped"),
        ("fec0::1", "site-local"),
        ("224.0.0.1", "multicast"),
        ("239.255.255.255", "multicast"),
        ("ff02::1", "multicast"),
        ("ff0e::1", "multicast"),
        ("255.255.255.255", "broadcast"),
        ("192.0.2.1", "documentation"),
        ("198.51.100.1", "documentation"),
        ("203.0.113.1", "documentation"),
        ("2001:db8::1", "documentation"),
        ("3fff::1", "documentation"),
        ("198.18.0.1", "benchmarking"),
        ("198.19.255.255", "benchmarking"),
        ("2001:2::1", "benchmarking"),
        ("192.0.0.8", "reserved"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.254", "reserved"),
        ("2001:10::1", "reserved"),
        ("100::1", "reserved"),
        ("5f00::1", "reserved"),
        ("4000::1", "reserved"),
        ("192.88.99.1", "tunnel"),
        # IPv4 inside of IPv6
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:a9fe:a9fe", "metadata"),
        ("::ffff:0:127.0.0.1", "reserved"),
        ("::127.0.0.1", "loopback"),
        ("::10.0.0.1", "private"),
        ("::8.8.8.8", "tunnel"),
        ("2002:7f00:1::", "loopback"),
        ("2002:a9fe:a9fe::1", "metadata"),
        ("2002:808:808::1", "tunnel"),
        ("2001:0:808:808:0:0:80ff:fffe", "loopback"),  # Teredo: the client's address is written inverted
        ("2001:0:a00:1:0:0:f7f7:f7f7", "private"),  # and its server's as it is
        ("2001:0:808:808:0:0:f7f7:f7f7", "tunnel"),
        ("64:ff9b::7f00:1", "loopback"),
        ("64:ff9b::169.254.169.254", "metadata"),
        ("64:ff9b:1::10.0.0.1", "private"),
        ("64:ff9b:1::8.8.8.8", "tunnel"),
        # global unicast
        ("8.8.8.8", ""),
        ("100.63.255.255", ""),
        ("100.128.0.0", ""),
        ("172.15.255.255", ""),
        ("172.32.0.0", ""),
        ("223.255.255.255", ""),
        ("2606:4700:4700::1111", ""),
        ("2a00:1450:4001::200e", ""),
        ("2001:4860:4860::8888", ""),
        ("::ffff:8.8.8.8", ""),
        ("64:ff9b::8.8.8.8", ""),
    ],
)
def test_kinds(address: str, kind: str) -> None:
    assert kind_of(address) == kind
    assert kind_of(ip_address(address)) == kind


def test_every_kind_has_words() -> None:
    assert set(KINDS) == set(KIND_WORDS)


@given(st.ip_addresses())
def test_what_python_knows_as_not_global_is_refused(address: IPv4Address | IPv6Address) -> None:
    if not plain(address).is_global or address.is_multicast:
        assert kind_of(address)


@given(st.ip_addresses(v=4))
def test_a_wrapped_address_is_never_better_than_the_one_inside(inside: IPv4Address) -> None:
    number = int(inside)
    wrapped = [
        IPv6Address(0xFFFF << 32 | number),
        IPv6Address(number),
        IPv6Address(0x2002 << 112 | number << 80 | 1),
        IPv6Address(0x20010000 << 96 | 0x08080808 << 64 | number ^ 0xFFFFFFFF),
        IPv6Address(0x64FF9B << 96 | number),
        IPv6Address(0x64FF9B0001 << 80 | number),
    ]
    if kind_of(inside):
        assert all(map(kind_of, wrapped))


@pytest.mark.parametrize("broken", ["", "localhost", "127.1", "1.2.3.4.5", "[::1]"])
def test_no_address_has_no_kind(broken: str) -> None:
    with pytest.raises(ValueError, match="does not appear"):
        kind_of(broken)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1.", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("127.0.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("017700000001", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("0X7F.1", "127.0.0.1"),
        ("0177.0.0.01", "127.0.0.1"),
        ("0", "0.0.0.0"),
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("[::ffff:127.0.0.1]", "127.0.0.1"),
        ("[0:0:0:0:0:FFFF:7F00:1]", "127.0.0.1"),
        ("localhost", None),
        ("127.0.0.1.example.com", None),
        ("256.0.0.1", None),
        ("127.0.0.1..", None),
        ("a:b", None),
        ("１２７.0.0.1", None),
        ("127.0.0.1\x00", None),
        ("", None),
    ],
)
def test_literal_addresses_in_every_spelling(host: str, address: str | None) -> None:
    assert literal(host) == (ip_address(address) if address else None)


@pytest.mark.parametrize(
    "name", ["localhost", "a.b", "a.b.", "xn--fsqu00a.com", "my_hook", "a-b", "4.example", "a" * 63]
)
def test_names(name: str) -> None:
    assert is_name(name)


ODD = ["", ".", "a..b", ".a", "-a", "a-", "a b", "a/b", "a%31", "例子", "a\n", "*.a", "a" * 64, "a." * 127 + "b"]
NUMBERS = ["1", "1.2.3.4.5", "256.1.1.1", "a.1", "a.0x7f", "a.0x", "127.0.0.1", "a.1."]


@pytest.mark.parametrize("name", [*ODD, *NUMBERS])
def test_no_names(name: str) -> None:
    assert not is_name(name)


NAMES = ["hooks.internal", "*.pods.internal:8080", "UPPER.example."]
FOUR = ["10.1.0.0/16", "192.168.1.1", "127.0.0.1:8001", "10.9.0.0/16:443"]
SIX = ["[::1]:80", "fd00::/8", "fe80::1", "[fd12::/16]:443", "::ffff:172.16.0.0/108"]


@pytest.mark.parametrize(
    ("host", "address", "port", "permitted"),
    [
        ("hooks.internal", "10.200.0.1", 1, True),
        ("HOOKS.internal.", "127.0.0.1", 1, True),
        ("x.hooks.internal", "10.200.0.1", 1, False),
        ("xhooks.internal", "10.200.0.1", 1, False),
        ("hooks.internal.example.com", "10.200.0.1", 1, False),
        ("a.pods.internal", "10.200.0.1", 8080, True),
        ("a.b.pods.internal", "10.200.0.1", 8080, True),
        ("a.pods.internal", "10.200.0.1", 8081, False),
        ("pods.internal", "10.200.0.1", 8080, False),
        ("xpods.internal", "10.200.0.1", 8080, False),
        ("upper.example", "10.200.0.1", 1, True),
        ("any", "10.1.255.255", 1, True),
        ("any", "10.2.0.0", 1, False),
        ("any", "::ffff:10.1.0.1", 1, True),
        ("any", "192.168.1.1", 1, True),
        ("any", "192.168.1.2", 1, False),
        ("any", "127.0.0.1", 8001, True),
        ("any", "127.0.0.1", 80, False),
        ("any", "127.0.0.2", 8001, False),
        ("any", "::1", 80, True),
        ("any", "::1", 81, False),
        ("any", "fd34::1", 1, True),
        ("any", "fe80::1", 1, True),
        ("any", "fe80::2", 1, False),
        ("any", "172.17.0.1", 1, True),
        ("any", "172.32.0.1", 1, False),
        ("any", "10.9.0.1", 443, True),
        ("any", "10.9.0.1", 80, False),
        ("any", "64:ff9b::10.1.0.1", 1, False),
    ],
)
def test_what_the_allow_list_permits(host: str, address: str, port: int, permitted: bool) -> None:
    assert parse_allow([*NAMES, *FOUR, *SIX]).permits(host, ip_address(address), port) is permitted


def test_nothing_is_permitted_by_an_empty_list() -> None:
    assert not parse_allow([]).permits("localhost", ip_address("127.0.0.1"), 80)


NO_NAMES = ["*", "*.", "a.*", "http://a", "a/b", "user@a", "例子.com", "-a", "a..b", ":80"]
NO_NETWORKS = ["10.0.0.0/33", "10.0.0.1/8", "127.1", "300.1.1.1", "fd00::1/8", "fe80::1%eth0/64"]
NO_PORTS = ["a:0", "a:65536", "a:b", "a:", "::1:80x", "[::1]:", "[::1]x"]
NO_BRACKETS = ["[::1", "::1]", "[10.0.0.1]", "[hooks]"]


@pytest.mark.parametrize("word", [*NO_NAMES, *NO_NETWORKS, *NO_PORTS, *NO_BRACKETS])
def test_a_word_that_cannot_be_read_is_one_sentence(word: str) -> None:
    with pytest.raises(Misconfigured, match=r"OPSCENTER_OUTBOUND_ALLOW: .* is no host name") as refused:
        parse_allow(["good.example", word])
    assert repr(word) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_allow_list_is_read_when_the_product_starts(tmp_path: Path) -> None:
    env = {**os.environ, "OPSCENTER_DATA": str(tmp_path), "OPSCENTER_OUTBOUND_ALLOW": "10.0.0.0/8, 10.0.0.1/8"}
    ended = subprocess.run(
        [sys.executable, "-c", "import opscenter.settings"], env=env, capture_output=True, text=True, check=False
    )
    assert ended.returncode != 0
    assert ended.stderr.startswith("OPSCENTER_OUTBOUND_ALLOW: '10.0.0.1/8' is no host name")
