"""What tests of operations begin with."""

import pytest

from opscenter.production.models import Task
from tests.operations.guarded import Guarded


@pytest.fixture
def cast() -> Guarded:
    """A workspace, its people, and extensions as they are wanted."""
    return Guarded()


@pytest.fixture
def line(cast: Guarded) -> list[Task]:
    """Two tasks, b after a."""
    a = cast.task("a")
    return [a, cast.task("b", upstream=[a])]
