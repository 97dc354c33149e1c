"""Runners: how each node type that needs a worker is executed. One module a type; registered here by object."""

from opscenter.engine.runners import shell
from opscenter.engine.runners.base import Runner
from opscenter.production.node_types import SHELL

RUNNERS: dict[str, Runner] = {SHELL.code: shell.run}

__all__ = ["RUNNERS", "Runner"]
