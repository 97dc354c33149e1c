"""What stories on the shared stack have in common: a workspace of their own in it, and a browser."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.processes.lab import Lab
from tests.stack import Stack
from tests.stories.browser import chromium

FAILED = 60
"""So many instances of a night failed beside the culprit: more than a page of a list shows."""


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that the night's culprit looks for; whoever repairs the night makes it."""
    return tmp_path_factory.mktemp("night") / "export"


@pytest.fixture(scope="module")
def night(shared_stack: Stack, export: Path) -> Iterator[dict[str, Any]]:
    """A workspace with a night that went wrong; see ``tests.processes.lab_night``."""
    with Lab(shared_stack.env) as lab:
        yield lab.ask("night", str(export), str(FAILED))


@pytest.fixture(scope="module")
def home(shared_stack: Stack, night: dict[str, Any]) -> str:
    """Where the pages of that workspace are, without a slash at the end."""
    return f"{shared_stack.url}/w/{night['workspace_id']}/prod"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for all the people of a story."""
    with chromium() as running:
        yield running
