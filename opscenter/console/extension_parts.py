"""Extensions and where they are enabled, as plain values for the pages' templates."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from extensions import lifecycle, options
from extensions.deliveries import gone_reason
from extensions.endpoints import DEAD_AFTER
from extensions.lifecycle import IN_TEST
from extensions.models import Delivery, Enablement, Extension
from extensions.options import Option
from extensions.points import POINTS
from opscenter.base import clock
from opscenter.base.reasons import Reason, say
from opscenter.console import extension_looks, navigation
from opscenter.console.access import ConsoleRequest, actor, here
from opscenter.console.templatetags.looks import Look
from opscenter.operations.extension_permits import STEPS, change_refusal, enablements_visible_to, step_refusal
from opscenter.workspaces.models import Workspace

Status = Extension.Status
SECRETS_SHOWN = 10
FAILURES_TOLD = 3
"""Failures in a row before the page says so."""
WORKSPACES_SHOWN = 100
"""Workspaces listed on an extension's page."""


@dataclass(frozen=True)
class Button:
    """What can be done; ``why_not`` where it cannot."""

    label: Promise | str
    url: str
    icon: str
    why_not: str = ""
    css: str = ""


STEP_ICONS = {
    "submit": "upload",
    "withdraw": "rotate-ccw",
    "approve": "check",
    "refuse": "x",
    "publish": "globe",
    "reopen": "flask-conical",
    "disable": "circle-slash",
}


_LEADS_ON = ("submit", "approve", "publish")


def told(reason: Reason | None) -> str:
    """A reason in words; empty for none."""
    return "" if reason is None else say(reason.code, reason.params)


def steps(request: ConsoleRequest, extension: Extension) -> list[Button]:
    """The steps that may follow now; those that are left to others say so. The one that leads on is the last."""
    who = actor(request)
    possible = [step for step in STEPS.values() if extension.status in step.before]
    return [
        Button(
            step.name,
            here(request, "extension_step", code=extension.code, step=step.code),
            STEP_ICONS[step.code],
            why_not := told(step_refusal(step, who, extension)),
            "is-primary" if step.code in _LEADS_ON and not why_not else "",
        )
        for step in sorted(possible, key=lambda step: step.code in _LEADS_ON)
    ]


def why_no_change(request: ConsoleRequest, extension: Extension) -> str:
    """Why the reader may not change the extension; empty when they may."""
    return told(change_refusal(actor(request), extension))


def point_names(extension: Extension) -> list[Promise | str]:
    """The extension points by name."""
    return [POINTS[code].name if code in POINTS else code for code in extension.points]


def schemas(extension: Extension) -> list[dict[str, Any]]:
    """The extension points, each with the address of its messages' schema."""
    return [
        {"name": POINTS[code].name, "url": reverse("console:event_schema", kwargs={"code": code})}
        for code in extension.points
        if code in POINTS
    ]


def options_of(extension: Extension) -> list[Option]:
    """The options that each workspace fills in."""
    return [one for one in options.read(extension.options) if not one.is_text]


def stopped(extension: Extension) -> str:
    """Why nothing is sent to it, in words; empty while messages are."""
    return told(gone_reason(extension)) if extension.gone_at is not None else ""


def failing(request: ConsoleRequest, extension: Extension) -> str:
    """A warning while its endpoint does nothing but fail."""
    if extension.failing_since is None or extension.failures < FAILURES_TOLD:
        return ""
    zone = ZoneInfo(request.workspace.tenant.time_zone)
    since, days = f"{extension.failing_since.astimezone(zone):%Y-%m-%d %H:%M}", DEAD_AFTER.days
    return ngettext(
        "The last %(n)s request to its endpoint failed; the first of them at %(since)s. After %(days)s days of failures alone "
        "nothing is sent to it any more.",
        "The last %(n)s requests to its endpoint failed; the first of them at %(since)s. After %(days)s days of failures alone "
        "nothing is sent to it any more.",
        extension.failures,
    ) % {"n": extension.failures, "since": since, "days": days}


def points_told(extension: Extension) -> str:
    """The same in one line."""
    return ", ".join(str(name) for name in point_names(extension))


@dataclass(frozen=True)
class Row:
    """An extension in a list.

    Attributes:
        enabled: in how many workspaces.
        sent: the latest delivery.
    """

    extension: Extension
    look: Look
    points: str
    url: str
    enabled: int
    stopped: str
    sent: Delivery | None
    sent_look: Look | None


def with_counts(extensions: "QuerySet[Extension]") -> "QuerySet[Extension]":
    """Extensions with what their rows need."""
    latest = Delivery.objects.filter(extension=OuterRef("pk")).order_by("-pk").values("pk")[:1]
    enabled = Count("enablements", filter=Q(enablements__is_enabled=True))
    return extensions.annotate(enabled=enabled, latest=Subquery(latest)).select_related("test_workspace", "owner")


def rows(request: ConsoleRequest, extensions: Iterable[Any]) -> list[Row]:
    """The rows of extensions that ``with_counts`` has prepared."""
    listed = list(extensions)
    sent = Delivery.objects.in_bulk([one.latest for one in listed if one.latest])
    made = []
    for one in listed:
        delivery = sent.get(one.latest)
        made.append(
            Row(
                extension=one,
                look=extension_looks.of_status(one),
                points=points_told(one),
                url=here(request, "extension", code=one.code),
                enabled=one.enabled,
                stopped=stopped(one),
                sent=delivery,
                sent_look=extension_looks.of_delivery(delivery) if delivery else None,
            )
        )
    return made


@dataclass(frozen=True)
class Place:
    """A workspace in which an extension is enabled."""

    enablement: Enablement
    url: str
    look: Look


def places(request: ConsoleRequest, extension: Extension) -> list[Place]:
    """Where the extension is enabled, with links to the workspaces that the reader is a member of."""
    found = enablements_visible_to(actor(request), extension).select_related("workspace").order_by("workspace__name")
    mine = memberships(request)
    return [
        Place(
            one,
            _workspace_page(one.workspace_id) if one.workspace_id in mine else "",
            extension_looks.ENABLED if _is_in_effect(extension, one.workspace_id) else extension_looks.IDLE,
        )
        for one in found[:WORKSPACES_SHOWN]
    ]


def _is_in_effect(extension: Extension, workspace: int) -> bool:
    if extension.status == Status.ONLINE:
        return True
    return extension.status in IN_TEST and extension.test_workspace_id == workspace


def _workspace_page(workspace: int) -> str:
    return navigation.address("console:enablement_list", workspace, "prod") or ""


def memberships(request: ConsoleRequest) -> set[int]:
    """The workspaces that the reader is a member of."""
    return set(Workspace.objects.visible_to(request.user).values_list("pk", flat=True))


@dataclass(frozen=True)
class Secret:
    """A signing secret as people may see it: never its value."""

    look: Look
    created_at: datetime
    expires_at: datetime | None


def secrets(extension: Extension) -> list[Secret]:
    """The latest signing secrets."""
    now = clock.now()
    found = extension.secrets.order_by("-pk").values_list("created_at", "expires_at")[:SECRETS_SHOWN]
    return [Secret(_secret_look(expires_at, now), created_at, expires_at) for created_at, expires_at in found]


def _secret_look(expires_at: datetime | None, now: datetime) -> Look:
    if expires_at is None:
        return extension_looks.CURRENT_SECRET
    return extension_looks.ENDING_SECRET if expires_at > now else extension_looks.ENDED_SECRET


def effect(request: ConsoleRequest, extension: Extension) -> dict[str, str]:
    """Where it is in effect: ``text``, and ``url`` where something is to be done about it."""
    text = _effect(extension)
    if (
        extension.status not in IN_TEST
        or _has_enabled(extension)
        or extension.test_workspace_id not in memberships(request)
    ):
        return {"text": text, "url": ""}
    return {"text": text, "url": _workspace_page(extension.test_workspace_id)}


def _has_enabled(extension: Extension) -> bool:
    """Whether its test workspace has enabled it."""
    return extension.enablements.filter(workspace=extension.test_workspace_id, is_enabled=True).exists()


def _effect(extension: Extension) -> str:
    match Status(extension.status):
        case Status.ONLINE:
            return _("In effect in every workspace that has enabled it.")
        case Status.DISABLED:
            return _("Not in effect anywhere. To use it again, take it back to testing.")
        case _other:
            place = {"workspace": extension.test_workspace}
            if _has_enabled(extension):
                return _("In effect in its test workspace “%(workspace)s” alone.") % place
            return _("Not in effect yet: its test workspace “%(workspace)s” has not enabled it.") % place


@dataclass(frozen=True)
class EnablementRow:
    """An extension as a workspace sees it.

    Attributes:
        enablement: None where it was never enabled.
        url: of its details; empty where the reader may not see them.
    """

    extension: Extension
    enablement: Enablement | None
    look: Look
    status: Look
    points: str
    url: str
    buttons: list[Button]


def enablement_rows(request: ConsoleRequest, missing: str, seen: "QuerySet[Extension]") -> list[EnablementRow]:
    """Every extension that may be enabled in the workspace, and those that are enabled but not in effect now.

    Args:
        missing: why the reader may not manage extensions here; empty when they may.
        seen: the extensions whose details they may see.
    """
    workspace = request.workspace
    enabled = {
        one.extension_id: one
        for one in Enablement.objects.filter(workspace=workspace, is_enabled=True).select_related("agreed_by")
    }
    possible = lifecycle.effective_in(workspace)
    effective = set(possible.values_list("pk", flat=True))
    found = Extension.objects.filter(pk__in=effective | set(enabled)).select_related("owner").order_by("name")
    visible = set(seen.filter(pk__in=effective | set(enabled)).values_list("pk", flat=True))
    return [
        EnablementRow(
            extension=one,
            enablement=enabled.get(one.pk),
            look=_enablement_look(one.pk in enabled, one.pk in effective),
            status=extension_looks.of_status(one),
            points=points_told(one),
            url=here(request, "extension", code=one.code) if one.pk in visible else "",
            buttons=_enablement_buttons(request, one, one.pk in enabled, missing),
        )
        for one in found
    ]


def _enablement_look(is_enabled: bool, is_effective: bool) -> Look:
    if not is_enabled:
        return extension_looks.NOT_ENABLED
    return extension_looks.ENABLED if is_effective else extension_looks.IDLE


def _enablement_buttons(request: ConsoleRequest, extension: Extension, is_enabled: bool, missing: str) -> list[Button]:
    if not is_enabled:
        return [Button(_("Enable"), here(request, "enablement_enable", code=extension.code), "", missing)]
    return [
        Button(_("Settings"), here(request, "enablement_settings", code=extension.code), "", missing),
        Button(_("Disable"), here(request, "enablement_disable", code=extension.code), "", missing),
    ]
