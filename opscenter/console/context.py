"""What the frame around every page needs; in templates it is ``frame``. Its context processor is ``context.frame``."""

import datetime as dt
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.functional import cached_property

from opscenter.console import navigation, open_checks
from opscenter.console.ended_backfills import EndedBackfills, ended_of
from opscenter.console.open_checks import OpenChecks
from opscenter.console.stopped import StoppedExtensions, stopped_of
from opscenter.workspaces.models import Workspace

THEMES = ("auto", "light", "dark")
DENSITIES = ("comfortable", "compact")
SWITCHER_LIMIT = 200
"""Workspaces listed in the switcher; its search narrows what is listed."""


def _choice(request: HttpRequest, cookie: str, choices: tuple[str, ...]) -> str:
    chosen = request.COOKIES.get(cookie, "")
    return chosen if chosen in choices else choices[0]


def _optional_url(view: str) -> str | None:
    try:
        return reverse(view)
    except NoReverseMatch:
        return None


@dataclass(frozen=True)
class EnvironmentLink:
    """One half of the Prod | Dev switch."""

    code: str
    url: str | None
    current: bool


class Frame:
    """The parts of the frame, each worked out when a template asks for it, so that a fragment pays for none of them."""

    def __init__(self, request: HttpRequest) -> None:
        self.request = request
        self.workspace: Any = getattr(request, "workspace", None)
        self.environment: str = getattr(request, "environment", None) or "Prod"
        self.theme = _choice(request, "theme", THEMES)
        self.density = _choice(request, "density", DENSITIES)
        self.listed_in: str = getattr(request, "listed_in", "")
        self.is_folded = request.COOKIES.get("nav") == "folded"

    @property
    def user(self) -> Any:
        """Who is signed in, or None."""
        user = getattr(self.request, "user", None)
        return user if user is not None and user.is_authenticated else None

    @property
    def is_dev(self) -> bool:
        """Whether the page shows the development environment."""
        return self.workspace is not None and self.environment == "Dev"

    @cached_property
    def zone(self) -> str:
        """IANA name of the tenant's time zone."""
        owner = self.workspace or self.user
        return owner.tenant.time_zone if owner is not None else "UTC"

    @property
    def now(self) -> dt.datetime:
        """The current time in that zone."""
        return timezone.now().astimezone(ZoneInfo(self.zone))

    @cached_property
    def groups(self) -> list[tuple[Any, list[navigation.Link]]]:
        """The left navigation; empty outside a workspace."""
        if self.workspace is None:
            return []
        match = self.request.resolver_match
        return navigation.links(self.workspace.pk, self.environment.lower(), match, self.listed_in)

    @cached_property
    def environments(self) -> list[EnvironmentLink]:
        """The Prod | Dev switch; empty in a basic workspace, which has one environment."""
        if self.workspace is None or self.workspace.mode != Workspace.Mode.STANDARD:
            return []
        match = self.request.resolver_match
        return [
            EnvironmentLink(
                code,
                navigation.elsewhere(match, self.workspace.pk, code.lower(), self.listed_in),
                code == self.environment,
            )
            for code in ("Prod", "Dev")
        ]

    @cached_property
    def workspaces(self) -> list[tuple[Workspace, str]]:
        """The workspaces that the user may switch to, each with the address of its first page."""
        if self.user is None:
            return []
        found = Workspace.objects.visible_to(self.user).order_by("display_name", "name")[:SWITCHER_LIMIT]
        return [(workspace, url) for workspace in found if (url := navigation.home(workspace.pk, "prod"))]

    @cached_property
    def open_checks(self) -> OpenChecks | None:
        """Operations that wait for extensions here; None when there are none."""
        return open_checks.in_frame(self.request)

    @cached_property
    def stopped_extensions(self) -> StoppedExtensions | None:
        """The user's own extensions to which nothing is sent any more; None when there are none."""
        if self.workspace is None or self.user is None:
            return None
        return stopped_of(self.user, self.workspace.pk, self.environment.lower())

    @cached_property
    def ended_backfills(self) -> EndedBackfills | None:
        """The user's own backfills that have ended, where they asked to be told; None when there are none."""
        return ended_of(self.user) if self.user is not None else None

    @cached_property
    def profile_url(self) -> str | None:
        """The user's own page with the access keys."""
        return _optional_url("console:profile")

    @cached_property
    def logout_url(self) -> str | None:
        """Where the sign-out form is sent."""
        return _optional_url("console:logout")

    @cached_property
    def language_url(self) -> str | None:
        """Where the language form is sent (Django's own view)."""
        return _optional_url("set_language")


def frame(request: HttpRequest) -> dict[str, Frame]:
    """Context processor."""
    return {"frame": Frame(request)}
