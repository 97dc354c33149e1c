"""The workflow of the demo's tenant B that runs when somebody runs it, and the two runs that it had."""

import hashlib
import random
import socket
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from opscenter.operations import manual_run
from opscenter.operations.actor import Actor
from opscenter.operations.models import Operation
from opscenter.processes.demo.cast import Party
from opscenter.processes.demo.lives import STEP, Life, save
from opscenter.processes.demo.retail import Step, orders_of
from opscenter.production.models import InstanceEdge, ProductionWorkflow, TaskInstance, Transition, WorkflowInstance
from opscenter.production.rules import levels, parameters
from opscenter.production.rules.states import State
from opscenter.workspaces.models import AuditEntry, User

WORKFLOW = "audit_export"
PARAMETERS = "currency=EUR"
STEPS = (
    Step("export_sales", "One day's sales, for the auditors", at="", seconds=(20, 60)),
    Step("seal_export", "Its checksum", at="", after=("export_sales",), seconds=(2, 5)),
)
RUNS = (
    (9, 40, time(10, 12), "The auditors want a day of last month."),
    (2, 33, time(16, 47), "And one more."),
)
"""So many days ago somebody ran it, for the business date of so many days ago, at this time of day, and why."""
_STEPS = {step.name: step for step in STEPS}


def past_log(name: str, values: Mapping[str, str]) -> str:
    """What a node's script prints for these values of its parameters."""
    bizdate = values["bizdate"]
    orders = orders_of(int(bizdate))
    if name == "export_sales":
        return f"Sales of {bizdate} in {values['currency']}: {orders} lines\n"
    seal = hashlib.sha256(f"{bizdate} {orders}".encode()).hexdigest()[:16]
    return f"Seal of the {orders} lines of {bizdate}: {seal}\n"


def tell(party: Party, by: User, today: date, runs: Sequence[tuple[int, int, time, str]]) -> None:
    """Let some of the runs have happened. Must be called while nobody claims instances: in the demo's transaction."""
    workflow = ProductionWorkflow.objects.get(workspace=party.workspace, name=WORKFLOW, environment="Prod")
    zone = ZoneInfo(party.workspace.tenant.time_zone)
    for run_ago, bizdate_ago, at, comment in runs:
        family = manual_run.run_workflow(
            Actor(by, AuditEntry.Face.CONSOLE), workflow, bizdate=today - timedelta(days=bizdate_ago), comment=comment
        )
        _play(family, workflow, datetime.combine(today - timedelta(days=run_ago), at, zone), zone)


def _play(family: WorkflowInstance, workflow: ProductionWorkflow, at: datetime, zone: ZoneInfo) -> None:
    """Move a run that was just asked for to when it was asked for, and to its end."""
    found = {one.task.name: one for one in family.task_instances.select_related("task", "version")}
    ids = [one.pk for one in found.values()]
    Transition.objects.filter(instance__in=ids).delete()
    WorkflowInstance.objects.filter(pk=family.pk).update(created_at=at)
    TaskInstance.objects.filter(pk__in=ids).update(created_at=at)
    Operation.objects.filter(code=manual_run.CODE, params__workflow_instance=family.pk).update(at=at)
    AuditEntry.objects.filter(action="task.run_manually", params__workflow_instance=family.pk).update(at=at)
    lives = []
    for step in STEPS:  # each after those that it waits for
        instance = found[step.name]
        instance.state, instance.state_at, instance.waiting_resource_at = State.NOT_RUN, at, None
        instance.unmet = 0
        life = Life(instance)
        at = _run(life, workflow, life.wait(at), zone) + STEP
        lives.append(life)
    InstanceEdge.objects.filter(downstream__in=ids).update(met=True)
    save(lives)


def _run(life: Life, workflow: ProductionWorkflow, at: datetime, zone: ZoneInfo) -> datetime:
    instance = life.instance
    context = parameters.Context(
        bizdate=instance.bizdate,
        scheduled_local=instance.scheduled_at.astimezone(zone).replace(tzinfo=None),
        current_date=at.astimezone(zone).date(),
        node_id=instance.task.number,
        workflow_id=workflow.number,
        instance_id=instance.pk,
    )
    version = instance.version
    given = levels.Sources(workflow=workflow.parameters, node=version.parameters, code=version.content)
    found = levels.resolve(given, context)
    chance = random.Random(f"{instance.task.name} {instance.bizdate}")
    return life.run(
        at,
        timedelta(seconds=chance.uniform(*_STEPS[instance.task.name].seconds)),
        past_log(instance.task.name, found.values),
        parameters=found.values,
        sources=found.sources,
        host=socket.gethostname(),
    )
