"""Extensions: registered, changed, reviewed, published, disabled.

Who may do what stands in ``extension_permits``; what a workspace decides for itself, in ``enablements``; signing secrets and
access keys are in ``extension_secrets``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import urlsplit

from django.db import IntegrityError, transaction
from django.db.models import Count, Q
from django.utils.translation import gettext as _

from extensions import lifecycle, options, parameters
from extensions.models import Check, Enablement, Extension
from extensions.points import POINTS
from opscenter.base import clock, outbound
from opscenter.base.reasons import Forbidden, Invalid, Refused, sentence
from opscenter.engine.locks import repeated
from opscenter.operations import checked
from opscenter.operations.actor import Actor
from opscenter.operations.extension_permits import (
    STEPS,
    Comment,
    locked,
    require_change,
    require_step,
    reviewed_refusal,
)
from opscenter.operations.permits import require
from opscenter.workspaces import audit
from opscenter.workspaces.models import AccessKey, Member, User, Workspace
from opscenter.workspaces.roles import Permission

Status = Extension.Status
_LONGEST_NAME, _LONGEST_TEXT, _LONGEST_URL = 128, 1000, 2048
_REVIEWED_FIELDS = ("webhook_url", "points")


@dataclass(frozen=True)
class Facts:
    """What its owner says of an extension.

    Attributes:
        webhook_url: where messages are sent.
        points: codes of the extension points it listens to.
        test_workspace: where it can be enabled before it is online.
        owner: None for whoever registers it, or for no change.
        detail_url: a page that tells the asker of a blocked operation more.
        help_url: its documentation.
        allows_mark_passed: whether who manages extensions in a workspace may pass its checks by hand; a line of the
            parameters that says so counts more.
        parameters: ``key=value`` lines.
        options: JSON schema of the form that each workspace fills in.
    """

    name: str
    webhook_url: str
    points: Sequence[str]
    test_workspace: Workspace
    owner: User | None = None
    description: str = ""
    detail_url: str = ""
    help_url: str = ""
    allows_mark_passed: bool = False
    parameters: str = ""
    options: str = ""


@transaction.atomic
def register(actor: Actor, facts: Facts) -> tuple[Extension, str]:
    """A new extension in the status Testing, and its signing secret, which cannot be shown again.

    Raises:
        NotFound: the actor is a stranger to the test workspace.
        Forbidden: the actor may not register extensions there.
        Invalid: a fact that cannot be; ``field`` names which.
    """
    require(actor, facts.test_workspace, Permission.DEVELOP_EXTENSIONS)
    values = _checked(facts, actor.user)
    extension = Extension(tenant=facts.test_workspace.tenant, created_by=actor.user, modified_by=actor.user, **values)
    _save(extension)
    secret = lifecycle.new_secret(extension)
    record(actor, "extension.register", extension, {"points": values["points"], "owner": str(extension.owner)})
    return extension, secret


@transaction.atomic
def update(actor: Actor, code: str, facts: Facts) -> Extension:
    """Change what is said of an extension. Its access keys go with it to a new owner; open checks stay as they are.

    Saving an address, even the same one again, says that it answers: messages are sent again after a 410 Gone.

    Raises:
        NotFound: no such extension for the actor.
        Forbidden: neither its owner nor an administrator of the tenant; or the review binds the changed facts.
        Invalid: a fact that cannot be; ``field`` names which.
    """
    extension = locked(actor, code)
    require_change(actor, extension)
    if facts.test_workspace.pk != extension.test_workspace_id:
        require(actor, facts.test_workspace, Permission.DEVELOP_EXTENSIONS)
    values = _checked(facts, extension.owner, extension)
    changed = [name for name, value in values.items() if getattr(extension, name) != value]
    bound = [name for name in _REVIEWED_FIELDS if name in changed]
    if bound and (reason := reviewed_refusal(actor, extension)):
        raise Forbidden(reason.code, **reason.params, field=bound[0])
    for name, value in values.items():
        setattr(extension, name, value)
    _answers_again(extension)
    extension.modified_at, extension.modified_by = clock.now(), actor.user
    _save(extension)
    lifecycle.watch(extension.tenant_id)
    if "owner" in changed:
        AccessKey.objects.filter(extension_key__extension=extension).update(user=extension.owner)
    if changed:
        record(actor, "extension.update", extension, {"changed": changed})
    return extension


@repeated
def take(step_code: str, actor: Actor, code: str, comment: str = "") -> Extension:
    """Take a step in an extension's life: one of ``extension_permits.STEPS``.

    Disabling ends its open checks as passed, and carries out what waited for them alone.

    Raises:
        NotFound: no such extension for the actor.
        Forbidden: the step is left to others.
        Refused: the step does not follow from the extension's status.
        Invalid: the comment is missing or too long.
    """
    step = STEPS[step_code]
    extension = locked(actor, code)
    require_step(step, actor, extension)
    comment = comment.strip()
    if step.comment is Comment.REQUIRED and not comment:
        raise Invalid("extension.comment_missing", field="comment")
    if len(comment) > _LONGEST_TEXT:
        raise Invalid("operation.comment", field="comment", most=_LONGEST_TEXT)
    if step.comment is not Comment.NONE:
        extension.reviewer, extension.review_comment = actor.user, comment
        extension.save(update_fields=["reviewer", "review_comment"])
    lifecycle.move(extension, step.after)
    lifecycle.watch(extension.tenant_id)
    if step.after is Status.DISABLED:
        _disabled(actor, extension)
    else:
        record(actor, step.audit, extension, {"comment": comment} if comment else {})
    return extension


def _disabled(actor: Actor, extension: Extension) -> None:
    """Its open checks end; every workspace concerned finds that in its own audit trail, with their number."""
    open_checks = Check.objects.filter(extension=extension, state=Check.State.CHECKING)
    counts = dict(open_checks.values_list("event__workspace").annotate(n=Count("pk")).order_by())
    enabled = Enablement.objects.filter(extension=extension, is_enabled=True).values("workspace")
    checked.release(extension, actor)
    concerned = Q(pk=extension.test_workspace_id) | Q(pk__in=enabled) | Q(pk__in=counts)
    for workspace in Workspace.objects.filter(concerned).select_related("tenant").order_by("pk"):
        record(actor, "extension.disable", extension, {"checks": counts.get(workspace.pk, 0)}, workspace)


@transaction.atomic
def resume(actor: Actor, code: str) -> Extension:
    """Send messages again to an endpoint that was gone, or had done nothing but fail for days.

    What was not sent meanwhile stays so; ``extension_messages.replay_since`` sends it.

    Raises:
        NotFound, Forbidden: neither its owner nor an administrator of the tenant.
        Refused: messages are sent to it.
    """
    extension = locked(actor, code)
    require_change(actor, extension)
    if extension.gone_at is None:
        raise Refused("extension.not_stopped", extension=extension.name)
    _answers_again(extension)
    extension.save(update_fields=["gone_at", "gone_reason", "failing_since", "failures"])
    record(actor, "extension.resume", extension)
    return extension


def _answers_again(extension: Extension) -> None:
    """Whatever its endpoint did before is forgotten."""
    extension.gone_at = extension.gone_reason = extension.failing_since = None
    extension.failures = 0


def record(
    actor: Actor,
    action: str,
    extension: Extension,
    params: Mapping[str, Any] | None = None,
    workspace: Workspace | None = None,
) -> None:
    """Write an entry about an extension into the audit trail of a workspace; by default that of its test workspace."""
    audit.record(
        actor.user,
        actor.face,
        action,
        workspace=workspace or extension.test_workspace,
        obj=("extension", extension.code, extension.name),
        params=params,
        address=actor.address,
    )


def _checked(facts: Facts, owner: User, before: Extension | None = None) -> dict[str, Any]:
    """The facts as the columns keep them.

    Args:
        owner: who owns it when the facts name nobody.
        before: the extension as it is; an owner and a test workspace that stay are not looked at again.
    """
    values = {one.name: getattr(facts, one.name) for one in fields(Facts)}
    for name in ("name", "webhook_url", "description", "detail_url", "help_url"):
        values[name] = values[name].strip()
    for name, most in (("name", _LONGEST_NAME), ("description", _LONGEST_TEXT)):
        if len(values[name]) > most:
            raise Invalid("extension.too_long", field=name, most=most)
    if not values["name"] or not values["name"].isprintable():
        raise Invalid("extension.name", field="name")
    check_webhook(values["webhook_url"])
    for name in ("detail_url", "help_url"):
        if values[name]:
            check_link(values[name], name)
    read = parameters.read(facts.parameters)
    values["parameters"] = parameters.without_manual_pass(facts.parameters)
    if read.manual_pass is not None:
        values["allows_mark_passed"] = read.manual_pass
    options.read(facts.options)
    values["options"] = facts.options.strip()
    values["points"] = _points(facts.points)
    values["owner"] = facts.owner or owner
    is_same_place = before is not None and before.test_workspace_id == facts.test_workspace.pk
    if not (is_same_place and before is not None and before.owner_id == values["owner"].pk):
        _check_owner(values["owner"], facts.test_workspace)
    return values


def _points(codes: Sequence[str]) -> list[str]:
    """The extension points in the registry's order, each once."""
    if not codes:
        raise Invalid("extension.no_points", field="points")
    for code in codes:
        if code not in POINTS:
            raise Invalid("extension.point_unknown", field="points", point=code[:64])
    return [code for code in POINTS if code in codes]


def _check_owner(owner: User, workspace: Workspace) -> None:
    if not Member.objects.filter(workspace=workspace, user=owner, user__is_active=True).exists():
        raise Invalid("extension.owner", field="owner", owner=str(owner), workspace=str(workspace))


def check_webhook(url: str) -> None:
    """Raises Invalid unless messages may be sent to the address, as far as that can be said without asking DNS."""
    try:
        outbound.check_url(url)
    except outbound.OutboundError as error:
        raise Invalid(error.reason.code, **{**error.reason.params, "field": "webhook_url"}) from error


def check_link(url: str, field: str) -> None:
    """Raises Invalid unless the address can be shown as a link: http or https, nothing that a browser would run."""
    try:
        parts = urlsplit(url)
        is_link = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        is_link = False
    if not is_link or len(url) > _LONGEST_URL or not url.isprintable() or any(char in url for char in ' \\"<>'):
        raise Invalid("extension.link", field=field)


def _save(extension: Extension) -> None:
    """Raises Invalid if another extension of the tenant has the name."""
    try:
        with transaction.atomic():
            extension.save()
    except IntegrityError as error:
        taken = Extension.objects.filter(tenant=extension.tenant_id, name=extension.name)
        if not taken.exclude(pk=extension.pk).exists():
            raise
        raise Invalid("extension.name_taken", field="name", name=extension.name) from error


@sentence("extension.not_stopped")
def _not_stopped(params: Mapping[str, Any]) -> str:
    return _("Messages are sent to “%(extension)s” already.") % params


@sentence("extension.name")
def _name(params: Mapping[str, Any]) -> str:
    return _("Give it a name of printable characters.")


@sentence("extension.name_taken")
def _name_taken(params: Mapping[str, Any]) -> str:
    return _("There is an extension “%(name)s” in this tenant already. Choose another name.") % params


@sentence("extension.too_long")
def _too_long(params: Mapping[str, Any]) -> str:
    return _("This is too long; %(most)s characters are the most.") % params


@sentence("extension.no_points")
def _no_points(params: Mapping[str, Any]) -> str:
    return _("Choose at least one extension point.")


@sentence("extension.point_unknown")
def _point_unknown(params: Mapping[str, Any]) -> str:
    return _("There is no extension point “%(point)s”.") % params


@sentence("extension.owner")
def _owner(params: Mapping[str, Any]) -> str:
    return (
        _("The owner must be an active member of the test workspace, and %(owner)s is none of “%(workspace)s”.")
        % params
    )


@sentence("extension.link")
def _link(params: Mapping[str, Any]) -> str:
    return _("Write the whole address of a page, such as https://example.com/help, without spaces.")


@sentence("extension.comment_missing")
def _comment_missing(params: Mapping[str, Any]) -> str:
    return _("Say why, so that the owner knows what to change.")
