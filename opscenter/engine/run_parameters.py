"""The scheduling parameters of an attempt: read as they are when it starts, as its version is, and kept with it."""

import json
from datetime import timedelta
from zoneinfo import ZoneInfo

from opscenter.engine.attempts import Running
from opscenter.production.models import WorkflowInstance
from opscenter.production.rules import levels
from opscenter.production.rules.levels import Sources
from opscenter.production.rules.parameters import Context


def context_of(running: Running) -> Context:
    """What the values of an attempt's parameters come from."""
    zone = ZoneInfo(running.time_zone)
    is_backfill = running.family == WorkflowInstance.Type.BACKFILL
    return Context(
        bizdate=running.bizdate,
        scheduled_local=running.scheduled_at.astimezone(zone).replace(tzinfo=None),
        current_date=running.bizdate + timedelta(days=1) if is_backfill else running.started_at.astimezone(zone).date(),
        node_id=running.task_number,
        workflow_id=running.workflow_number,
        instance_id=running.instance,
    )


def resolve(running: Running, context: Context) -> dict[str, str]:
    """The values of the attempt's parameters; noted at ``running`` with where they come from.

    Raises:
        ParameterError: as ``levels.resolve``.
    """
    found = levels.resolve(
        Sources(
            shared=[(is_own, name, expression) for is_own, name, expression in json.loads(running.shared or "[]")],
            workflow=running.workflow_assignments,
            node=running.assignments,
            overrides=json.loads(running.overrides),
            task=running.task_number,
            run_wins=WorkflowInstance.Type(running.family).is_manual,
            code=running.content,
        ),
        context,
    )
    running.parameters, running.parameter_sources = found.values, found.sources
    return found.values
