"""Who may do what to an extension, in which status: the one table that permits the operations and enables the buttons."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from django.db.models import Exists, Q, QuerySet
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from extensions.lifecycle import IN_TEST, NEXT_STATUS
from extensions.models import Check, Delivery, Enablement, Extension
from opscenter.base.reasons import Forbidden, NotFound, Reason, Refused, sentence
from opscenter.operations.actor import Actor
from opscenter.workspaces.models import AuditEntry, User, Workspace
from opscenter.workspaces.roles import Permission

Status = Extension.Status


class Who(Enum):
    """Whom a step is left to."""

    OWNER = "owner"
    ADMIN = "admin"
    EITHER = "either"


class Comment(Enum):
    """Whether a step asks for a comment."""

    NONE = "none"
    OPTIONAL = "optional"
    REQUIRED = "required"


@dataclass(frozen=True)
class Step:
    """One step in an extension's life.

    Attributes:
        name: the words on the button.
        before: the statuses from which it may be taken.
        after: the status it leads to.
    """

    code: str
    name: Promise
    before: frozenset[Status]
    after: Status
    who: Who
    comment: Comment = Comment.NONE

    @property
    def audit(self) -> str:
        return f"extension.{self.code}"


STEPS: dict[str, Step] = {
    step.code: step
    for step in (
        Step(
            "submit",
            gettext_lazy("Submit for approval"),
            frozenset({Status.TESTING, Status.REFUSED}),
            Status.IN_REVIEW,
            Who.OWNER,
        ),
        Step("withdraw", gettext_lazy("Withdraw"), frozenset({Status.IN_REVIEW}), Status.TESTING, Who.OWNER),
        Step(
            "approve",
            gettext_lazy("Approve"),
            frozenset({Status.IN_REVIEW}),
            Status.APPROVED,
            Who.ADMIN,
            Comment.OPTIONAL,
        ),
        Step(
            "refuse", gettext_lazy("Refuse"), frozenset({Status.IN_REVIEW}), Status.REFUSED, Who.ADMIN, Comment.REQUIRED
        ),
        Step(
            "publish",
            pgettext_lazy("extension", "Publish"),
            frozenset({Status.APPROVED}),
            Status.ONLINE,
            Who.EITHER,
        ),
        Step(
            "reopen",
            gettext_lazy("Back to testing"),
            frozenset({Status.APPROVED, Status.DISABLED}),
            Status.TESTING,
            Who.EITHER,
        ),
        Step(
            "disable",
            pgettext_lazy("extension", "Disable"),
            frozenset(Status) - {Status.DISABLED},
            Status.DISABLED,
            Who.EITHER,
        ),
    )
}
"""Every step, in the order in which an extension usually takes them."""

REVIEWED = frozenset({Status.IN_REVIEW, Status.APPROVED, Status.ONLINE})
"""Where the webhook address and the extension points are what a review looks at, or has looked at."""


def administers(actor: Actor) -> bool:
    """Whether the actor is an administrator of their tenant; whoever runs commands owns the whole installation."""
    return actor.user.is_tenant_admin or actor.face == AuditEntry.Face.COMMAND


def managed_by(user: User) -> "QuerySet[Workspace]":
    """The workspaces in which the user may enable extensions."""
    return Workspace.objects.permitting(user, Permission.MANAGE_EXTENSIONS)


def visible_to(actor: Actor) -> "QuerySet[Extension]":
    """The extensions whose details the actor may see.

    Those they own; administrators of the tenant see all of it; who manages extensions in a workspace sees those that
    may be enabled there, or are.
    """
    found = Extension.objects.filter(tenant=actor.user.tenant_id)
    if administers(actor):
        return found
    managed = managed_by(actor.user)
    enabled = Enablement.objects.filter(is_enabled=True, workspace__in=managed)
    return found.filter(
        Q(owner=actor.user)
        | Q(Exists(managed), status=Status.ONLINE)
        | Q(status__in=IN_TEST, test_workspace__in=managed)
        | Q(pk__in=enabled.values("extension"))
    )


def find(actor: Actor, code: str) -> Extension:
    """An extension that the actor may see.

    Raises:
        NotFound: there is none with this code, or the actor may not know of it.
    """
    found = visible_to(actor).select_related("tenant", "owner", "test_workspace", "reviewer").filter(code=code).first()
    if found is None:
        raise NotFound("extension.unknown", extension=code[:64])
    return found


def checks_visible_to(actor: Actor, extension: Extension) -> "QuerySet[Check]":
    """The checks of an extension that the actor may see: who only manages it in a workspace sees those from there."""
    found = Check.objects.filter(extension=extension)
    if change_refusal(actor, extension) is None:
        return found
    return found.filter(event__workspace__in=managed_by(actor.user))


def deliveries_visible_to(actor: Actor, extension: Extension) -> "QuerySet[Delivery]":
    """The deliveries to an extension that the actor may see; as for checks."""
    found = Delivery.objects.filter(extension=extension)
    if change_refusal(actor, extension) is None:
        return found
    return found.filter(event__workspace__in=managed_by(actor.user))


def enablements_visible_to(actor: Actor, extension: Extension) -> "QuerySet[Enablement]":
    """Where the extension is enabled, as far as the actor may know; as for checks."""
    found = Enablement.objects.filter(extension=extension, is_enabled=True)
    if change_refusal(actor, extension) is None:
        return found
    return found.filter(workspace__in=managed_by(actor.user))


def locked(actor: Actor, code: str) -> Extension:
    """The same, with its row locked: changes of an extension come one after the other, and no operation that asks
    extensions begins meanwhile (``lifecycle.held_listeners`` holds the rows)."""
    seen = find(actor, code)
    return (
        Extension.objects.select_for_update(no_key=True, of=("self",))
        .select_related("tenant", "owner", "test_workspace")
        .get(pk=seen.pk)
    )


def change_refusal(actor: Actor, extension: Extension) -> Reason | None:
    """Why the actor may not change the extension; None for its owner and administrators of the tenant."""
    if extension.owner_id == actor.user.pk or administers(actor):
        return None
    return Reason("extension.not_yours", {"owner": str(extension.owner)})


def require_change(actor: Actor, extension: Extension) -> None:
    """Raises Forbidden unless the actor owns the extension or administers the tenant."""
    if reason := change_refusal(actor, extension):
        raise Forbidden(reason.code, **reason.params)


def step_refusal(step: Step, actor: Actor, extension: Extension) -> Reason | None:
    """Why the actor cannot take this step now; None when they can."""
    if reason := _person_refusal(step, actor, extension):
        return reason
    if extension.status not in step.before:
        return Reason("extension.step", {"step": step.code, "status": int(extension.status)})
    return None


def require_step(step: Step, actor: Actor, extension: Extension) -> None:
    """Make sure that the actor can take this step now.

    Raises:
        Forbidden: the step is left to others.
        Refused: it does not follow from the extension's status.
    """
    if reason := _person_refusal(step, actor, extension):
        raise Forbidden(reason.code, **reason.params)
    if reason := step_refusal(step, actor, extension):
        raise Refused(reason.code, **reason.params)


def _person_refusal(step: Step, actor: Actor, extension: Extension) -> Reason | None:
    if step.who is Who.EITHER:
        return change_refusal(actor, extension)
    if step.who is Who.OWNER:
        is_owner = extension.owner_id == actor.user.pk
        return None if is_owner else Reason("extension.owner_only", {"owner": str(extension.owner)})
    return None if administers(actor) else Reason("tenant.admin_required", {"tenant": str(extension.tenant)})


def reviewed_refusal(actor: Actor, extension: Extension) -> Reason | None:
    """Why the actor cannot change the webhook address and the extension points now; None when they can."""
    if reason := change_refusal(actor, extension):
        return reason
    if extension.status in REVIEWED and not administers(actor):
        return Reason("extension.reviewed", {"status": int(extension.status)})
    return None


@sentence("extension.unknown")
def _unknown(params: Mapping[str, Any]) -> str:
    return _("There is no extension “%(extension)s”, or you may not see it.") % params


@sentence("extension.not_yours")
def _not_yours(params: Mapping[str, Any]) -> str:
    return _("Only the extension's owner, %(owner)s, and administrators of the tenant may do this.") % params


@sentence("extension.owner_only")
def _owner_only(params: Mapping[str, Any]) -> str:
    return _("Only the extension's owner, %(owner)s, may do this.") % params


@sentence("extension.step")
def _step(params: Mapping[str, Any]) -> str:
    step = STEPS[params["step"]]
    return _("The extension has the status “%(status)s”; “%(step)s” is possible in: %(statuses)s.") % {
        "status": Status(params["status"]).label,
        "step": step.name,
        "statuses": ", ".join(str(status.label) for status in Status if status in step.before),
    }


@sentence("extension.status")
def _status(params: Mapping[str, Any]) -> str:
    wanted = Status(params["wanted"])
    return _("The extension has the status “%(status)s”; “%(wanted)s” follows only from: %(statuses)s.") % {
        "status": Status(params["status"]).label,
        "wanted": wanted.label,
        "statuses": ", ".join(str(before.label) for before, nexts in NEXT_STATUS.items() if wanted in nexts),
    }


@sentence("extension.reviewed")
def _reviewed(params: Mapping[str, Any]) -> str:
    text = _(
        "The review looks at the webhook address and the extension points, so only administrators of the tenant "
        "may change them in the status “%(status)s”."
    ) % {"status": Status(params["status"]).label}
    if params["status"] == Status.IN_REVIEW:
        return text + " " + _("Withdraw it to change them yourself.")
    if params["status"] == Status.APPROVED:
        return text + " " + _("Take it back to testing to change them yourself.")
    return text + " " + _("Ask one of them, or disable it and take it back to testing.")
