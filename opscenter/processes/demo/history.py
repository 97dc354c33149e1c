"""Two weeks of history: each day's generated instances moved to believable ends, as of then; and today up to its root."""

import random
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from opscenter.operations.models import Operation, OperationTarget
from opscenter.processes.demo import calls, retail
from opscenter.processes.demo.cast import Party
from opscenter.processes.demo.lives import STEP, Life, save
from opscenter.production.models import InstanceEdge, TaskInstance
from opscenter.production.rules import parameters
from opscenter.production.rules.states import State
from opscenter.workspaces import audit
from opscenter.workspaces.models import AuditEntry, User

OPERATOR = "role_project_pe"
"""Role of who repairs what failed, and runs what is run by hand."""
_STEPS = {step.name: step for step in retail.STEPS}
_SHORT = (1, 2)


@dataclass
class Day:
    """One scheduled day of one tenant.

    Attributes:
        ended: when each instance of the day succeeded, by id.
        by_hand: who reruns what failed; only in the tenant that has such a person.
    """

    party: Party
    day: date
    today: date
    zone: ZoneInfo
    by_hand: User | None
    lives: dict[int, Life] = field(default_factory=dict)
    upstream: dict[int, list[int]] = field(default_factory=dict)
    ended: dict[int, datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        found = TaskInstance.objects.filter(
            workspace=self.party.workspace, bizdate=self.day - timedelta(days=1)
        ).select_related("task", "version")
        self.lives = {instance.pk: Life(instance) for instance in found}
        edges = InstanceEdge.objects.filter(downstream__in=self.lives)
        for downstream, upstream in edges.values_list("downstream_id", "upstream_id"):
            self.upstream.setdefault(downstream, []).append(upstream)

    def play(self) -> None:
        """Let the whole day happen: every instance, upstream first."""
        for pk in self._in_order():
            if (at := self._ready_at(pk)) is not None:
                self._live(self.lives[pk], at)

    def open(self) -> None:
        """Let only the roots happen, and what they make ready stand where its time puts it: the trigger waits."""
        for pk in self._in_order():
            life = self.lives[pk]
            at = self._ready_at(pk)
            if at is None:
                continue
            if life.instance.task.is_root:
                self.ended[pk] = life.succeed_in_place(life.wait(at))
            elif calls.is_trigger(life.instance):
                life.wait(at)
            elif life.instance.state == State.NOT_RUN:
                life.move(at, State.WAIT_TIME)

    def _in_order(self) -> list[int]:
        """Upstream before downstream."""
        order: dict[int, None] = {}

        def visit(pk: int) -> None:
            if pk not in order:
                for upstream in self.upstream.get(pk, ()):
                    visit(upstream)
                order[pk] = None

        for pk in self.lives:
            visit(pk)
        return list(order)

    def _ready_at(self, pk: int) -> datetime | None:
        """When the last upstream instance succeeded; None when one did not."""
        upstream = self.upstream.get(pk, [])
        if any(one not in self.ended for one in upstream):
            return None
        midnight = datetime.combine(self.day, datetime.min.time(), self.zone)
        return max((self.ended[one] for one in upstream), default=midnight) + STEP

    def _live(self, life: Life, at: datetime) -> None:
        instance = life.instance
        if calls.is_trigger(instance):
            self.ended[instance.pk] = calls.be_triggered(life, at, self.party, (self.today - self.day).days)
            return
        at = life.wait(at)
        if not instance.needs_worker:
            self.ended[instance.pk] = life.succeed_in_place(at)
            return
        self._run(life, at)

    def _run(self, life: Life, at: datetime) -> None:
        instance = life.instance
        mishap = retail.mishap_of(instance, (self.today - self.day).days)
        values = self._parameters(instance)
        step = _STEPS.get(instance.task.name)
        shortest, longest = step.seconds if step else _SHORT
        chance = random.Random(f"{instance.task.name} {instance.scheduled_at:%Y%m%d%H%M}")
        host = socket.gethostname()
        if mishap is not None:
            log = retail.mishap_log(mishap, values["bizdate"])
            failed = life.run(
                at, timedelta(seconds=mishap.seconds), log, parameters=values, host=host, exit_code=mishap.exit_code
            )
            if mishap.repaired_after is None:
                return
            at = self._rerun(life, failed + mishap.repaired_after)
        duration = timedelta(seconds=chance.uniform(shortest, longest))
        log = retail.past_log(instance.task.name, values) if step else "DataWorks\n"
        self.ended[instance.pk] = life.run(at, duration, log, parameters=values, host=host)

    def _parameters(self, instance: TaskInstance) -> Mapping[str, str]:
        context = parameters.Context(
            bizdate=instance.bizdate,
            scheduled_local=instance.scheduled_at.astimezone(self.zone).replace(tzinfo=None),
            current_date=self.day,
            node_id=instance.task.number,
            workflow_id=0,
            instance_id=instance.pk,
        )
        return parameters.resolve(parameters.parse_assignments(instance.version.parameters), context)

    def _rerun(self, life: Life, at: datetime) -> datetime:
        """Somebody reruns a failed instance in the console."""
        assert self.by_hand is not None
        instance = life.instance
        comment = "The shop's export answers again."
        operation = Operation.objects.create(
            code="rerun",
            workspace=self.party.workspace,
            environment=instance.environment,
            actor=self.by_hand,
            face=AuditEntry.Face.CONSOLE,
            comment=comment,
            params={"instances": [instance.pk]},
            status=Operation.Status.APPLIED,
            at=at,
        )
        OperationTarget.objects.create(operation=operation, object_type="instance", object_id=instance.pk, done=True)
        entry = audit.record(
            self.by_hand,
            AuditEntry.Face.CONSOLE,
            "instance.rerun",
            workspace=self.party.workspace,
            obj=("operation", operation.pk, instance.task.name),
            params={"done": [instance.pk], "refused": [], "comment": comment},
        )
        AuditEntry.objects.filter(pk=entry.pk).update(at=at)
        life.move(at, State.WAIT_RESOURCE, operation=operation.pk)
        return at

    def count(self) -> None:
        """What each instance still waits for."""
        for pk, life in self.lives.items():
            life.instance.unmet = sum(one not in self.ended for one in self.upstream.get(pk, ()))


def tell(party: Party, today: date, days: int) -> None:
    """Play the days before today, and open today."""
    zone = ZoneInfo(party.workspace.tenant.time_zone)
    by_hand = next((account.user for account in party.accounts if account.role == OPERATOR), None)
    played = [Day(party, today - timedelta(days=ago), today, zone, by_hand) for ago in range(days, -1, -1)]
    for day in played[:-1]:
        day.play()
    played[-1].open()
    for day in played:
        day.count()
    InstanceEdge.objects.filter(upstream__in=[pk for day in played for pk in day.ended]).update(met=True)
    save([life for day in played for life in day.lives.values()])
