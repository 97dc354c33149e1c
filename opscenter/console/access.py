"""Who may open which page. Every view carries one of the marks made here; a test walks all addresses for one without."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec
from urllib.parse import urlsplit

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django_htmx.http import HttpResponseClientRedirect

from opscenter.base.reasons import Forbidden, NotFound
from opscenter.operations.actor import Actor
from opscenter.operations.permits import member_of, missing
from opscenter.operations.workspaces import require_tenant_admin
from opscenter.production.models import Environment
from opscenter.workspaces.models import AuditEntry, Member, User, Workspace
from opscenter.workspaces.roles import Permission

ENVIRONMENTS = {environment.value.lower(): environment for environment in Environment}
"""How an address names an environment."""

LAST_WORKSPACE = "last_workspace"
"""Session key: id of the workspace and name of the environment that were open last."""

P = ParamSpec("P")


class ConsoleRequest(HttpRequest):
    """A request of a member: what ``in_workspace`` found out."""

    user: User
    workspace: Workspace
    member: Member
    environment: Environment
    listed_in: str
    """The view of the list that the object shown is in; set where the page's address does not tell."""


class SignedInRequest(HttpRequest):
    """A request of somebody who is signed in."""

    user: User


def open_to_all(view: Callable[P, HttpResponseBase]) -> Callable[P, HttpResponseBase]:
    """Marks a view that needs no sign-in."""
    view.is_open_to_all = True  # type: ignore[attr-defined]  # read by the walk over all addresses
    return view


def signed_in(
    view: Callable[Concatenate[SignedInRequest, P], HttpResponseBase],
) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
    """For views outside workspaces: anybody who is signed in."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return _to_sign_in(request)
        return view(request, *args, **kwargs)  # type: ignore[arg-type]  # the user is a User from here on

    wrapped.needs_sign_in = True  # type: ignore[attr-defined]  # read by the walk over all addresses
    return wrapped


def in_workspace(
    view: Callable[Concatenate[ConsoleRequest, P], HttpResponseBase],
) -> Callable[..., HttpResponseBase]:
    """For views under ``/w/<workspace_id>/<env>/``; the two arguments become attributes of the request.

    A stranger gets 404, as if the workspace did not exist; so does Dev in a workspace that has no such environment.
    Every member may open the page unless ``permitted`` stands below. The view runs in the tenant's time zone.
    """

    @wraps(view)
    def wrapped(request: ConsoleRequest, workspace_id: int, env: str, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return _to_sign_in(request)
        member = member_of(request.user, workspace_id)
        environment = ENVIRONMENTS.get(env)
        if environment is None or (environment is Environment.DEV and member.workspace.mode == Workspace.Mode.BASIC):
            raise NotFound("environment.unknown", environment=env)
        request.member, request.workspace, request.environment = member, member.workspace, environment
        permission: Permission = wrapped.permission  # type: ignore[attr-defined]
        own = wrapped.own_counts  # type: ignore[attr-defined]
        if not (member.may(permission) or (own and member.may(permission, own=True))):
            raise Forbidden("permission.missing", **missing(permission, member))
        if request.session.get(LAST_WORKSPACE) != [workspace_id, env]:
            request.session[LAST_WORKSPACE] = [workspace_id, env]
        with timezone.override(member.workspace.tenant.time_zone):  # moments in sentences are told in this zone
            return view(request, **kwargs)  # type: ignore[call-arg]  # P is the rest of the arguments

    wrapped.permission = getattr(view, "permission", Permission.VIEW)  # type: ignore[attr-defined]
    wrapped.own_counts = getattr(view, "own_counts", False)  # type: ignore[attr-defined]
    return wrapped


def permitted(permission: Permission, *, own: bool = False) -> Callable[[Callable[P, Any]], Callable[P, Any]]:
    """Stands below ``in_workspace``: members without the permission get 403, with its name and the roles that have it.

    Args:
        own: enough to have the permission for one's own tasks; the operation looks at whose task it is.
    """

    def mark(view: Callable[P, Any]) -> Callable[P, Any]:
        view.permission = permission  # type: ignore[attr-defined]
        view.own_counts = own  # type: ignore[attr-defined]
        return view

    return mark


def actor(request: HttpRequest) -> Actor:
    """Who asks for an operation through this request."""
    assert isinstance(request.user, User)
    return Actor(
        user=request.user,
        face=AuditEntry.Face.CONSOLE,
        address=request.META.get("REMOTE_ADDR") or None,
        request_id=getattr(request, "request_id", ""),
    )


def is_partial(request: HttpRequest) -> bool:
    """Whether the answer becomes a part of the page that is open, rather than a page."""
    return request.headers.get("HX-Request") == "true" and request.headers.get("HX-Boosted") != "true"


def go(request: HttpRequest, url: str) -> HttpResponse:
    """Send the browser to another page, from a form or from a dialog."""
    if is_partial(request):
        return HttpResponseClientRedirect(url)
    return HttpResponseRedirect(url)


def _to_sign_in(request: HttpRequest) -> HttpResponse:
    if not is_partial(request):
        return redirect_to_login(request.get_full_path())
    here = urlsplit(request.headers.get("HX-Current-URL", ""))
    back = f"{here.path}?{here.query}" if here.query else here.path
    return go(request, redirect_to_login(back or "/").url)


def why_not(request: ConsoleRequest, permission: Permission) -> str:
    """Why the member cannot use a button that needs the permission, to show at it; empty when they can."""
    if request.member.may(permission):
        return ""
    return str(Forbidden("permission.missing", **missing(permission, request.member)))


def why_no_tenant_admin(request: ConsoleRequest) -> str:
    """Why the member cannot do what administrators of the tenant may; empty when they can."""
    try:
        require_tenant_admin(actor(request))
    except Forbidden as error:
        return str(error)
    return ""


def here(request: ConsoleRequest, view: str, **kwargs: Any) -> str:
    """The address of another page of the same workspace and environment."""
    place = {"workspace_id": request.workspace.pk, "env": request.environment.value.lower()}
    return reverse(f"console:{view}", kwargs=place | kwargs)
