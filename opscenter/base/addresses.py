"""Which addresses outbound calls may reach, and what the installation allows besides. Pure: no DNS, no Django.

Only global unicast is reachable without being allowed. The tables are ours (from IANA's special-purpose registries):
what ``ipaddress`` calls private differs from one Python to the next.
"""

import functools
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from opscenter.base.config import Misconfigured

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def _table(*rows: tuple[str, str]) -> tuple[tuple[Network, str], ...]:
    return tuple((ip_network(network), kind) for kind, networks in rows for network in networks.split())


_REFUSED = _table(
    # clouds answer here with the machine's credentials; Azure's is a public address
    ("metadata", "169.254.169.254/32 169.254.170.2/32 168.63.129.16/32 100.100.100.200/32 192.0.0.192/32"),
    ("metadata", "fd00:ec2::254/128 fd20:ce::254/128"),
    ("unspecified", "0.0.0.0/8 ::/128"),
    ("loopback", "127.0.0.0/8 ::1/128"),
    ("private", "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7"),
    ("shared", "100.64.0.0/10"),
    ("link-local", "169.254.0.0/16 fe80::/10"),
    ("site-local", "fec0::/10"),
    ("multicast", "224.0.0.0/4 ff00::/8"),
    ("broadcast", "255.255.255.255/32"),
    ("documentation", "192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 2001:db8::/32 3fff::/20"),
    ("benchmarking", "198.18.0.0/15 2001:2::/48"),
    ("tunnel", "192.88.99.0/24"),
    ("reserved", "192.0.0.0/24 240.0.0.0/4 2001::/23"),
)
_GLOBAL_SIX = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = IPv6Network("64:ff9b:1::/48")
_COMPATIBLE = IPv6Network("::/96")
KINDS = (*dict.fromkeys(kind for _network, kind in _REFUSED), "scoped")
"""What ``kind_of`` may answer, besides nothing."""


def kind_of(address: str | Address) -> str:
    """Why an address is not reachable: one of ``KINDS``; empty for global unicast.

    An IPv4 address inside an IPv6 one is judged as well, whatever carries it.

    Raises:
        ValueError: it is no address.
    """
    found = ip_address(address) if isinstance(address, str) else address
    if isinstance(found, IPv4Address):
        return _listed(found)
    if found.scope_id is not None:
        return "scoped"
    if found.ipv4_mapped is not None:
        return kind_of(found.ipv4_mapped)
    if found in _NAT64:  # where there is IPv6 alone, every IPv4 host is reached through it
        return kind_of(_last_four(found))
    if inside := _tunnelled(found):
        return next(filter(None, map(kind_of, inside)), "tunnel")
    return _listed(found) or ("" if found in _GLOBAL_SIX else "reserved")


def _listed(address: Address) -> str:
    return next((kind for network, kind in _REFUSED if address in network), "")


def _last_four(address: IPv6Address) -> IPv4Address:
    return IPv4Address(address.packed[12:])


def _tunnelled(address: IPv6Address) -> tuple[IPv4Address, ...]:
    """The IPv4 addresses that a tunnel or a translator of old would go to; none of its kind is let through."""
    if address.sixtofour is not None:
        return (address.sixtofour,)
    if address.teredo is not None:
        return (address.teredo[1], address.teredo[0])
    if address in _NAT64_LOCAL or (address in _COMPATIBLE and int(address) > 1):
        return (_last_four(address),)
    return ()


def plain(address: Address) -> Address:
    """An IPv4 address written as IPv6 (``::ffff:127.0.0.1``) as the IPv4 address it is."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def literal(host: str) -> Address | None:
    """The address that a host is, in any spelling the resolver takes for one; None if it is a name.

    IPv6 stands with or without its brackets. ``0x7f.1``, ``017700000001``, ``2130706433`` and ``127.1.`` are 127.0.0.1.
    """
    bare = host.removeprefix("[").removesuffix("]")
    if ":" in bare:
        try:
            return plain(IPv6Address(bare))
        except ValueError:
            return None
    try:
        return IPv4Address(socket.inet_aton(bare.removesuffix(".")))
    except (OSError, ValueError):  # ValueError: not ASCII, or a NUL in it
        return None


_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?", re.ASCII | re.IGNORECASE)
_NUMBER = re.compile(r"(?:\d+|0x[0-9a-f]*)", re.ASCII | re.IGNORECASE)


def is_name(host: str) -> bool:
    """Whether it may be a host's name in DNS. Whoever ends in a number is an address, or none that is well-formed."""
    return (
        len(host) <= 253
        and _NAME.fullmatch(host) is not None
        and _NUMBER.fullmatch(host.removesuffix(".").rpartition(".")[2]) is None
    )


@dataclass(frozen=True)
class _Entry:
    """One word of the allow-list: a name (with its leading ``.`` if all below it are meant) or a network."""

    name: str
    network: Network | None
    port: int | None

    def covers(self, host: str, address: Address, port: int) -> bool:
        if self.port not in (None, port):
            return False
        if self.network is not None:
            return address in self.network
        return host.endswith(self.name) if self.name.startswith(".") else host == self.name


@dataclass(frozen=True)
class Allow:
    """The private targets an installation lets its calls reach."""

    entries: tuple[_Entry, ...] = ()

    def permits(self, host: str, address: Address, port: int) -> bool:
        """Whether an entry names this host or covers this address, at this port."""
        name, where = host.lower().removesuffix("."), plain(address)
        return any(entry.covers(name, where, port) for entry in self.entries)


def parse_allow(words: Iterable[str]) -> Allow:
    """The allow-list of OPSCENTER_OUTBOUND_ALLOW: names, ``*.names``, addresses and networks, ``:port`` behind or not.

    Raises:
        Misconfigured: a word is none of these.
    """
    return _parsed(tuple(words))


@functools.lru_cache(maxsize=64)
def _parsed(words: tuple[str, ...]) -> Allow:
    return Allow(tuple(map(_entry, words)))


_ENTRY = re.compile(
    r"(?P<six>[0-9a-f]*:[0-9a-f.]*:[0-9a-f:.]*(?:/\d+)?)"
    r"|(?:\[(?P<boxed>[^\[\]]*:[^\[\]]*)\]|(?P<other>[^:\[\]]+))(?::(?P<port>\d{1,5}))?",
    re.ASCII | re.IGNORECASE,
)


def _entry(word: str) -> _Entry:
    match = _ENTRY.fullmatch(word)
    if match is None or (match["port"] and not 1 <= int(match["port"]) <= 65535):
        raise _misconfigured(word)
    port = int(match["port"]) if match["port"] else None
    if match["other"] and is_name(match["other"].removeprefix("*.")):
        return _Entry(match["other"].lower().removeprefix("*").removesuffix("."), None, port)
    try:
        network = ip_network(match["six"] or match["boxed"] or match["other"])
    except ValueError as error:
        raise _misconfigured(word) from error
    return _Entry("", _plain_network(network), port)


def _plain_network(network: Network) -> Network:
    """``::ffff:10.0.0.0/104`` as 10.0.0.0/8: addresses are compared in their plain form."""
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    return network if mapped is None or network.prefixlen < 96 else IPv4Network((mapped, network.prefixlen - 96))


def _misconfigured(word: str) -> Misconfigured:
    return Misconfigured(
        f"OPSCENTER_OUTBOUND_ALLOW: {word!r} is no host name (hooks.internal, *.example.com), address or network "
        "(10.1.0.0/16, bits behind the prefix being 0), with a :port from 1 to 65535 or without."
    )
