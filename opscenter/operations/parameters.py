"""Parameters that many tasks share: global ones of a tenant, and those of a workspace in one environment."""

from collections.abc import Callable, Mapping
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from opscenter.base import clock
from opscenter.base.reasons import Invalid, NotFound, sentence
from opscenter.operations.actor import Actor
from opscenter.operations.permits import member_of, require
from opscenter.operations.publish_checks import SOME_DAY
from opscenter.operations.workspaces import require_tenant_admin
from opscenter.production.models import Environment, SharedParameter
from opscenter.production.rules import parameters
from opscenter.production.rules.levels import Level
from opscenter.workspaces import audit
from opscenter.workspaces.models import Tenant, Workspace
from opscenter.workspaces.roles import Permission

MOST_EXPRESSION = 1000
MOST = 500
"""Parameters of one level: every run reads them."""


@transaction.atomic
def create(
    actor: Actor,
    workspace: Workspace,
    environment: str,
    level: Level,
    *,
    name: str,
    expression: str,
    description: str = "",
) -> SharedParameter:
    """A new parameter of the workspace in this environment, or a global one. Attempts that start from now on have it.

    Args:
        level: GLOBAL or WORKSPACE. Global ones hold in all workspaces and environments of the tenant.

    Raises:
        NotFound, Forbidden: the actor may not manage the workspace, or does not administer the tenant.
        Invalid: a name that is no name or is taken, an expression without a value; ``field`` names which.
    """
    workspace = _permit(actor, workspace, level)
    if not parameters.is_name(name) or parameters.is_date(name):
        raise Invalid("parameter.name", field="name", name=name, most=parameters.LONGEST_NAME)
    _check(expression)
    Tenant.objects.select_for_update(no_key=True).get(pk=workspace.tenant_id)  # two at once cannot take one name
    place = _place(workspace, environment, level)
    found = SharedParameter.objects.filter(**place)
    if found.filter(name=name).exists():
        raise Invalid("parameter.name_taken", field="name", name=name)
    if found.count() >= MOST:
        raise Invalid("parameter.too_many", most=MOST)
    made = SharedParameter.objects.create(
        **place, name=name, expression=expression, description=description, modified_by=actor.user
    )
    _record(actor, "parameter.create", workspace, made, expression=expression)
    return made


@transaction.atomic
def update(
    actor: Actor,
    workspace: Workspace,
    environment: str,
    level: Level,
    pk: int,
    *,
    expression: str,
    description: str = "",
) -> SharedParameter:
    """Change what a parameter means, for attempts that start from now on; its name stays, since code uses it.

    Raises:
        NotFound, Forbidden: as ``create``, or there is no such parameter.
        Invalid: an expression without a value.
    """
    workspace = _permit(actor, workspace, level)
    _check(expression)
    found = find(workspace, environment, level, pk, lock=True)
    before = found.expression
    if (before, found.description) != (expression, description):
        found.expression, found.description = expression, description
        found.modified_at, found.modified_by = clock.now(), actor.user
        found.save(update_fields=["expression", "description", "modified_at", "modified_by"])
        _record(actor, "parameter.update", workspace, found, before=before, expression=expression)
    return found


@transaction.atomic
def delete(actor: Actor, workspace: Workspace, environment: str, level: Level, pk: int) -> SharedParameter:
    """Remove a parameter: code that names it is run as it is written, from the next attempt on.

    Raises:
        NotFound, Forbidden: as ``update``.
    """
    workspace = _permit(actor, workspace, level)
    found = find(workspace, environment, level, pk, lock=True)
    _record(actor, "parameter.delete", workspace, found, expression=found.expression)
    found.delete()
    return found


def find(workspace: Workspace, environment: str, level: Level, pk: int, *, lock: bool = False) -> SharedParameter:
    """A parameter of this level that holds in the workspace's environment; raises NotFound."""
    found = SharedParameter.objects.filter(**_place(workspace, environment, level), pk=pk)
    one = (found.select_for_update() if lock else found).first()
    if one is None:
        raise NotFound("parameter.unknown")
    return one


def _permit(actor: Actor, workspace: Workspace, level: Level) -> Workspace:
    if level is Level.GLOBAL:
        found = member_of(actor.user, workspace.pk).workspace
        require_tenant_admin(actor)
        return found
    assert level is Level.WORKSPACE, "the others are written in documents"
    return require(actor, workspace, Permission.MANAGE_WORKSPACE).workspace


def _place(workspace: Workspace, environment: str, level: Level) -> dict[str, Any]:
    if level is Level.GLOBAL:
        return {"tenant": workspace.tenant, "workspace": None, "environment": ""}
    return {"tenant": workspace.tenant, "workspace": workspace, "environment": Environment(environment)}


def _check(expression: str) -> None:
    if len(expression) > MOST_EXPRESSION or not (expression.isprintable() or not expression):
        raise Invalid("parameter.expression", field="expression", most=MOST_EXPRESSION)
    try:
        parameters.evaluate(expression, SOME_DAY)
    except parameters.ParameterError as error:
        raise Invalid(error.reason.code, **error.reason.params, field="expression") from error


def _record(actor: Actor, action: str, workspace: Workspace, one: SharedParameter, **params: Any) -> None:
    is_global = one.workspace_id is None
    audit.record(
        actor.user,
        actor.face,
        action,
        tenant=workspace.tenant,
        workspace=None if is_global else workspace,
        obj=("parameter", one.pk, one.name),
        params={"environment": one.environment, **params},
        address=actor.address,
    )


def _sentence(code: str, text: Callable[[], str]) -> None:
    sentence(code)(lambda params: text() % params)


@sentence("parameter.name")
def _name(params: Mapping[str, Any]) -> str:
    return _(
        "“%(name)s” cannot be the name of a parameter. Use letters, digits and _, a letter first, at most %(most)s; "
        "formats of dates such as yyyymmdd are kept."
    ) % {"name": params["name"][:200], "most": params["most"]}


_sentence("parameter.name_taken", lambda: _("There is a parameter “%(name)s” on this level already."))
_sentence("parameter.too_many", lambda: _("A level has at most %(most)s parameters. Delete some that nothing uses."))
_sentence("parameter.expression", lambda: _("Enter one line of at most %(most)s characters."))
_sentence("parameter.unknown", lambda: _("There is no such parameter. Somebody may have deleted it just now."))
