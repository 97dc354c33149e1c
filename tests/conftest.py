"""The suite runs on a real PostgreSQL: DATABASE_URL's, or an embedded one, started when a test first needs it."""

from collections.abc import Iterator

import pytest
from django.conf import settings

from opscenter.base import config
from opscenter.processes.assets import compile_messages
from opscenter.processes.embedded import Embedded
from opscenter.processes.placement import place
from tests.stack import Stack


@pytest.fixture(scope="session", autouse=True)
def messages() -> None:
    """Translations as the product would show them."""
    compile_messages()


@pytest.fixture(scope="session")
def database_server() -> Iterator[None]:
    """A server of this session alone, in a temporary folder; nothing it writes has to last."""
    if config.has_own_database():
        yield
        return
    server = Embedded(place(settings.DATA_DIR, settings.POSTGRES_USER), durable=False)
    server.start()
    settings.DATABASES["default"]["HOST"] = str(server.place.socket)
    yield
    server.stop()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(database_server: None) -> None:
    """pytest-django makes its test database on that server."""


@pytest.fixture(scope="session")
def shared_stack() -> Iterator[Stack]:
    """A whole product, running, for tests that do it no harm; tests that hurt it start their own ``Stack``."""
    with Stack() as running:
        yield running
