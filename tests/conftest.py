"""The suite runs on a real PostgreSQL: DATABASE_URL's, or an embedded one, started when a test first needs it."""

import gc
from collections.abc import Generator, Iterator
from typing import Any

import hypothesis
import pytest
from django.conf import settings
from xdist.scheduler import LoadFileScheduling

from opscenter.base import config
from opscenter.processes.assets import compile_messages
from opscenter.processes.embedded import Embedded
from opscenter.processes.placement import place
from tests import emptying
from tests.stack import Stack

# how long an example takes says nothing on a busy machine
hypothesis.settings.register_profile("suite", deadline=None)
hypothesis.settings.load_profile("suite")


@pytest.hookimpl(trylast=True)  # after the shuffling
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where tests run at once (``-n``), files that start processes come first: what takes long must not begin last."""
    if hasattr(config, "workerinput"):
        slow = {item.path for item in items if item.get_closest_marker("processes")}
        items.sort(key=lambda item: item.path not in slow)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    """A file's tests stay together, since they share what is dear to start; files in the order of the collection."""
    config.option.loadscopereorder = False
    return LoadFileScheduling(config, log)


def pytest_sessionstart() -> None:
    emptying.install()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is loaded and collected stays to the end: looking for garbage in it again and again would be a tenth of the run."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()


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
