"""People, keys and production of the wire's tests."""

import pytest

from opscenter.openapi.authentication import KeyThrottle
from tests.cast import Cast
from tests.openapi.guards import Guard
from tests.openapi.wire import Wire


@pytest.fixture(autouse=True)
def fresh_throttle() -> None:
    KeyThrottle.reset()


@pytest.fixture
def cast(db: None) -> Cast:
    return Cast()


@pytest.fixture
def wire(cast: Cast) -> Wire:
    """A client of the workspace's administrator."""
    return Wire(cast.admin)


@pytest.fixture
def guard(cast: Cast) -> Guard:
    """An extension that is asked before tasks are frozen."""
    return Guard(cast)
