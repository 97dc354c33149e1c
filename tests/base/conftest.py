"""What lies outside of the product, as tests want it: DNS, a network that is not there, the system's certificates."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from opscenter.base import outbound_call
from tests.base.outgoing import Dns, Trust


@pytest.fixture
def connects(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The addresses that were to be connected to; nobody is there."""
    tried: list[Any] = []

    def connect(_socket: socket.socket, address: Any) -> None:
        tried.append(address[:2])
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(socket.socket, "connect", connect)
    return tried


@pytest.fixture
def dns(monkeypatch: pytest.MonkeyPatch) -> Dns:
    """Names with addresses: ``dns(name, first_answer, second_answer)``; returns the names that were asked for."""
    real, asked = socket.getaddrinfo, []
    table: dict[str, Iterator[list[str]]] = {}

    def getaddrinfo(host: str, port: int, **options: Any) -> list[Any]:
        if options.get("flags", 0) & socket.AI_NUMERICHOST:
            return list(real(host, port, **options))
        asked.append(host)
        if host not in table:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [row for address in next(table[host]) for row in real(address, port, **options)]

    def names(name: str, *answers: list[str]) -> list[str]:
        table[name] = iter(answers)
        return asked

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return names


@pytest.fixture
def trust(monkeypatch: pytest.MonkeyPatch) -> Iterator[Trust]:
    """Makes a certificate the system's."""

    def believe(certificate: Path) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        outbound_call._read_trust.cache_clear()

    yield believe
    outbound_call._read_trust.cache_clear()
