"""Runners: how each node type that needs a worker is executed. One module a type; registered here by object."""

from opscenter.engine.runners import python, shell, sql
from opscenter.engine.runners.base import Runner
from opscenter.production.node_types import PYTHON, SHELL, SQL

RUNNERS: dict[str, Runner] = {SHELL.code: shell.run, PYTHON.code: python.run, SQL.code: sql.run}

__all__ = ["RUNNERS", "Runner"]
