"""Runners: how each node type that needs a worker is executed. One module a type; registered here by object."""

from opscenter.engine.runners import python, shell
from opscenter.engine.runners.base import Runner
from opscenter.production.node_types import PYTHON, SHELL

RUNNERS: dict[str, Runner] = {SHELL.code: shell.run, PYTHON.code: python.run}

__all__ = ["RUNNERS", "Runner"]
