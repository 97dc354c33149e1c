"""Backfills: previewed, asked for, checked by the extensions of every workspace they reach, then made as previewed."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db import IntegrityError
from django.utils.translation import gettext as _

from extensions import envelope, lifecycle
from opscenter.base import clock
from opscenter.base.reasons import Forbidden, Invalid, Reason, Refused, sentence
from opscenter.engine.backfill_plan import Expected, Plan, expected, make_plan
from opscenter.engine.locks import repeated
from opscenter.operations import backfill_sources
from opscenter.operations.actor import Actor
from opscenter.operations.asking import ask as ask_extensions
from opscenter.operations.backfill_request import BackfillRequest, from_json
from opscenter.operations.models import Operation, OperationTarget
from opscenter.operations.permits import member_of, missing
from opscenter.operations.registry import OPERATIONS
from opscenter.operations.results import carry_out, check_comment, check_token
from opscenter.production.models import Backfill, BackfillDate, Environment, ResourceGroup, Task
from opscenter.production.rules.backfill import Mode, Part, Selection
from opscenter.workspaces.models import Member, User, Workspace
from opscenter.workspaces.roles import Permission

CODE = "make_backfill"
_POINT = "backfill-data"


@dataclass(frozen=True)
class Preview:
    """What a backfill would make.

    Attributes:
        sees: the workspaces whose tasks the asker may know the names of.
        fingerprint: given back when it is asked for, it makes sure that nothing has changed since.
        asked: names of the extensions that decide first; ``advising``: of those that only advise.
    """

    request: BackfillRequest
    plan: Plan
    fingerprint: str
    sees: Collection[int]
    expected: Expected | None = None
    asked: Sequence[str] = ()
    advising: Sequence[str] = ()


def preview(actor: Actor, workspace: Workspace, environment: str, request: BackfillRequest) -> Preview:
    """Plan a backfill without making anything; ``plan.problems`` says what stands against it.

    Raises:
        NotFound, Forbidden: a stranger, or a member who may backfill nothing at all.
        Invalid: the request is wrong in itself, with the ``field`` it is in.
    """
    found = _preview(_member(actor, workspace), environment, request)
    listeners = _listeners(found.plan, workspace, environment)
    return replace(
        found,
        expected=expected(found.plan, request.dates()),
        asked=[one.extension.name for one in listeners if one.is_mandatory],
        advising=[one.extension.name for one in listeners if not one.is_mandatory],
    )


def ask(
    actor: Actor,
    workspace: Workspace,
    environment: str,
    request: BackfillRequest,
    *,
    fingerprint: str | None = None,
    comment: str = "",
    client_token: str | None = None,
) -> Operation:
    """Make a backfill, or ask the extensions first that guard it in any workspace it reaches.

    The job exists from now on, with its plan; while it is checked nothing of it is made. The same client token again
    answers with the operation it named before.

    Args:
        fingerprint: of the preview that was confirmed; None where nobody looked at one.

    Raises:
        NotFound, Forbidden, Invalid: as ``preview``.
        Refused: the plan has a problem, or is no longer what was previewed (``backfill.changed``).
    """
    check_comment(comment)
    check_token(client_token)
    member = _member(actor, workspace)
    if client_token and (earlier := Operation.objects.filter(client_token=client_token).first()):
        return _same(earlier, actor, workspace, environment, request)
    try:
        return _ask(actor, member, environment, request, fingerprint, comment, client_token)
    except IntegrityError:
        earlier = Operation.objects.filter(client_token=client_token).first() if client_token else None
        if earlier is None:
            raise
        return _same(earlier, actor, workspace, environment, request)


def job_of(operation: Operation) -> Backfill:
    """The job that an operation asked for."""
    return Backfill.objects.get(pk=operation.params["backfills"][0])


def default_name(root: str, at: datetime, zone: ZoneInfo) -> str:
    """``P_<node>_<yyyymmdd>_<hhmmss>``."""
    return f"P_{root[:230]}_{at.astimezone(zone):%Y%m%d_%H%M%S}"


def _member(actor: Actor, workspace: Workspace) -> Member:
    member = member_of(actor.user, workspace.pk)
    permission = OPERATIONS[CODE].permission
    if not (member.may(permission) or member.may(permission, own=True)):
        raise Forbidden("permission.missing", **missing(permission, member))
    return member


def _same(
    earlier: Operation, actor: Actor, workspace: Workspace, environment: str, request: BackfillRequest
) -> Operation:
    named = (earlier.code, earlier.actor_id, earlier.workspace_id, earlier.environment)
    asked = _kept(request)
    if (CODE, actor.user.pk, workspace.pk, environment) != named or earlier.params["asked"] != asked:
        raise Invalid("operation.client_token")
    return earlier


def _kept(request: BackfillRequest) -> dict[str, Any]:
    """What two requests have in common that are the same; the name may be made of the time."""
    return {name: value for name, value in request.as_json().items() if name != "name"}


@repeated
def _ask(
    actor: Actor,
    member: Member,
    environment: str,
    request: BackfillRequest,
    fingerprint: str | None,
    comment: str,
    client_token: str | None,
) -> Operation:
    found = _preview(member, environment, request)
    plan, workspace = found.plan, member.workspace
    listeners = _listeners(plan, workspace, environment, hold=True)
    if fingerprint is not None and fingerprint != found.fingerprint:
        raise Refused("backfill.changed")
    if plan.problems and plan.problems[0].code == "backfill.barred" and not plan.running():
        raise Forbidden("permission.missing", **missing(OPERATIONS[CODE].permission, member))
    if plan.problems:
        raise Refused(plan.problems[0].code, **plan.problems[0].params)
    job = _store(found, member, environment)
    operation = Operation.objects.create(
        code=CODE,
        workspace=workspace,
        environment=environment,
        actor=actor.user,
        face=actor.face,
        comment=comment,
        client_token=client_token or None,
        params={"backfills": [job.pk], "asked": _kept(request)},
        status=Operation.Status.CHECKING if listeners else Operation.Status.REFUSED,
    )
    OperationTarget.objects.create(operation=operation, object_type="backfill", object_id=job.pk)
    Backfill.objects.filter(pk=job.pk).update(operation=operation.pk)
    if listeners:
        message = envelope.backfill(_message(job, found))
        ask_extensions(operation, _POINT, listeners, message, [job.name], address=actor.address)
    else:
        carry_out(operation, member, actor.address)
    return operation


def _listeners(plan: Plan, workspace: Workspace, environment: str, *, hold: bool = False) -> list[Any]:
    if environment != Environment.PROD:
        return []
    find = lifecycle.held_listeners if hold else lifecycle.listeners
    reached = Workspace.objects.filter(pk__in={workspace.pk, *plan.workspaces})
    return find(reached, _POINT, lambda: {plan.tasks[pk].node_type for pk in plan.running()})


def _preview(member: Member, environment: str, request: BackfillRequest) -> Preview:
    request.check()
    tenant = member.workspace.tenant
    group = ResourceGroup.objects.filter(tenant=tenant, name=request.resource_group).first()
    if request.resource_group and group is None:
        raise Invalid("backfill.group", field="resource_group", group=request.resource_group)
    wanted = _selection(member, environment, request)
    sees = set(Member.objects.filter(user=member.user).values_list("workspace_id", flat=True))
    plan = make_plan(tenant, environment, wanted, request.dates(), _may(member.user), sees)
    if group is not None and group.associations.filter(workspace__in=plan.workspaces).count() < len(plan.workspaces):
        plan.problems.append(Reason("backfill.group_elsewhere", {"group": group.name}))
    if request.data_sources:
        plan.problems.extend(backfill_sources.problems(plan, environment, request.data_sources))
    return Preview(request, plan, plan.fingerprint(_kept(request)), sees=sees)


def _may(user: User) -> Any:
    """Whether the user may run tasks of (workspace, owner)."""
    memberships = {one.workspace_id: one for one in Member.objects.filter(user=user)}
    permission = OPERATIONS[CODE].permission

    def may(workspace: int, owner: int) -> bool:
        member = memberships.get(workspace)
        return member is not None and member.may(permission, own=owner == user.pk)

    return may


def _selection(member: Member, environment: str, request: BackfillRequest) -> Selection:
    """The request with tasks by primary key; all that are named must be known to the asker."""
    numbers = {*request.roots, *request.include, *request.exclude}
    visible = Task.objects.visible_to(member.user).filter(
        environment=environment, workspace__tenant=member.workspace.tenant_id, number__in=numbers
    )
    known = dict(visible.values_list("number", "pk"))
    for name in ("roots", "include", "exclude"):
        for number in getattr(request, name):
            if number not in known:
                raise Invalid("backfill.unknown_task", field=name, task=number)
    mine = set(Member.objects.filter(user=member.user).values_list("workspace_id", flat=True))
    for workspace in (*request.workspaces, *request.not_workspaces):
        if workspace not in mine:
            raise Invalid("backfill.unknown_workspace", field="workspaces", workspace=workspace)
    return Selection(
        mode=request.mode,
        roots=tuple(known[number] for number in dict.fromkeys(request.roots)),
        include=tuple(known[number] for number in dict.fromkeys(request.include)),
        exclude=frozenset(known[number] for number in request.exclude),
        depth=request.depth,
        workspaces=frozenset(request.workspaces),
        not_workspaces=frozenset(request.not_workspaces),
    )


def _store(found: Preview, member: Member, environment: str) -> Backfill:
    plan, request = found.plan, found.request
    zone = ZoneInfo(member.workspace.tenant.time_zone)
    job = Backfill.objects.create(
        workspace=member.workspace,
        environment=environment,
        name=request.name or default_name(plan.tasks[_root(plan, request)].name, clock.now(), zone),
        created_by=member.user,
        state=Backfill.State.ASKED,
        request=request.as_json(),
        plan=plan.pinned(),
        fingerprint=found.fingerprint,
        on_failure=request.on_failure.value,
        tasks=len(plan.roles),
        instances=plan.instances,
    )
    BackfillDate.objects.bulk_create(
        BackfillDate(backfill=job, bizdate=day.bizdate, position=position, after=day.after, instances=day.instances)
        for position, day in enumerate(plan.days)
    )
    return job


def _root(plan: Plan, request: BackfillRequest) -> int:
    """The task that a job is named after: the first that was named, else the first that runs."""
    numbers = {row.number: pk for pk, row in plan.tasks.items() if pk in plan.roles}
    named = [numbers[number] for number in (*request.roots, *request.include) if number in numbers]
    return named[0] if named else min(plan.running(), key=lambda pk: (plan.level[pk], plan.tasks[pk].name))


def _message(job: Backfill, found: Preview) -> envelope.Backfill:
    plan, request = found.plan, found.request
    root = plan.tasks[_root(plan, request)]
    left = [pk for pk, role in plan.roles.items() if role.part is Part.DRY_RUN]
    return envelope.Backfill(
        name=job.name,
        root=root.number,
        root_workspace=root.workspace,
        include=[plan.tasks[pk].number for pk in plan.running()],
        exclude=sorted(plan.tasks[pk].number for pk in left),
        periods=[(one.first, one.last) for one in request.ranges],
        groups=request.groups,
        runs_future_now=request.immediately,
        is_descending=request.order.value == "desc",
    )


def look_again(job: Backfill, member: Member) -> Reason | None:
    """Why a job that was asked for cannot be made now: what it would make is no longer what was previewed and checked."""
    try:
        found = _preview(member, job.environment, replace(from_json(job.request)))
    except Invalid as error:
        return error.reason
    if found.plan.problems:
        return found.plan.problems[0]
    return None if found.fingerprint == job.fingerprint else Reason("backfill.changed_while_checked")


@sentence("backfill.changed")
def _changed(params: Mapping[str, Any]) -> str:
    return _(
        "What the backfill would make has changed since it was previewed. Look at the new preview, then confirm it."
    )


@sentence("backfill.changed_while_checked")
def _changed_while_checked(params: Mapping[str, Any]) -> str:
    return _(
        "While extensions were asked, what the backfill would make has changed: it is not what they passed any more. "
        "Ask for it again."
    )


@sentence("backfill.group")
def _group(params: Mapping[str, Any]) -> str:
    return _("There is no resource group “%(group)s”.") % params


@sentence("backfill.group_elsewhere")
def _group_elsewhere(params: Mapping[str, Any]) -> str:
    return _("The resource group “%(group)s” is not associated with every workspace whose tasks are chosen.") % params


@sentence("backfill.unknown_task")
def _unknown_task(params: Mapping[str, Any]) -> str:
    return _("There is no task %(task)s in this environment, or you are not a member of its workspace.") % params


@sentence("backfill.unknown_workspace")
def _unknown_workspace(params: Mapping[str, Any]) -> str:
    return _("There is no workspace %(workspace)s, or you are not a member of it.") % params


__all__ = ["CODE", "Mode", "Permission", "Preview", "ask", "default_name", "job_of", "look_again", "preview"]
