"""Coming in, going out, and where one lands."""

from typing import Any

from django.contrib import messages
from django.contrib.auth import login, logout, update_session_auth_hash
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from opscenter.base.reasons import Invalid, NotFound
from opscenter.console import sign_in as attempts
from opscenter.console.access import LAST_WORKSPACE, SignedInRequest, actor, go, open_to_all, signed_in
from opscenter.console.dialogs import ask
from opscenter.console.forms import PasswordForm, SignInForm, refuse
from opscenter.operations import sessions
from opscenter.operations.permits import member_of
from opscenter.workspaces.models import Workspace


@require_GET
@signed_in
def home(request: SignedInRequest) -> HttpResponse:
    """The instances of the workspace that was open last; without any workspace, a page that says what to do."""
    kwargs = _last(request)
    if kwargs is None:
        return render(request, "console/session/no_workspace.html")
    return redirect("console:instance_list", **kwargs)


@require_GET
@signed_in
def workspace_home(request: SignedInRequest, workspace_id: int) -> HttpResponse:
    """A workspace by its id alone: its production instances."""
    member_of(request.user, workspace_id)
    return redirect("console:instance_list", workspace_id=workspace_id, env="prod")


def _last(request: SignedInRequest) -> dict[str, Any] | None:
    """The arguments of an address in the workspace that was open last, or else in the first one."""
    remembered = request.session.get(LAST_WORKSPACE)
    if isinstance(remembered, list):
        try:
            member_of(request.user, remembered[0])
            return {"workspace_id": remembered[0], "env": remembered[1]}
        except NotFound:
            del request.session[LAST_WORKSPACE]
    first = Workspace.objects.visible_to(request.user).order_by("display_name", "name").first()
    return None if first is None else {"workspace_id": first.pk, "env": "prod"}


@open_to_all
@sensitive_post_parameters("password")
@never_cache
@require_http_methods(["GET", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    """The form, and what comes of it; afterwards the page that was asked for."""
    then = _safe(request, request.POST.get("next") or request.GET.get("next") or "/")
    if request.method == "GET":
        if request.user.is_authenticated:
            return redirect(then)
        return render(request, "console/session/sign_in.html", {"form": SignInForm(), "next": then})
    form = SignInForm(request.POST)
    if form.is_valid():
        try:
            user = attempts.check(request, form.cleaned_data["username"], form.cleaned_data["password"])
        except Invalid as error:
            refuse(form, error)
        else:
            login(request, user)
            sessions.record_sign_in(actor(request))
            return redirect(then)
    return render(request, "console/session/sign_in.html", {"form": form, "next": then}, status=422)


def _safe(request: HttpRequest, url: str) -> str:
    is_ours = url_has_allowed_host_and_scheme(url, {request.get_host()}, require_https=request.is_secure())
    return url if is_ours and url.isprintable() else "/"


@open_to_all
@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """Ends the session; without one there is nothing to end."""
    if request.user.is_authenticated:
        sessions.record_sign_out(actor(request))
    logout(request)
    return go(request, reverse("console:login"))


@sensitive_post_parameters("current", "new", "again")
@require_http_methods(["GET", "POST"])
@signed_in
def change_password(request: SignedInRequest) -> HttpResponse:
    """One's own password; other sessions end, this one goes on."""
    form = PasswordForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            user = sessions.change_password(actor(request), form.cleaned_data["current"], form.cleaned_data["new"])
        except Invalid as error:
            refuse(form, error)
        else:
            update_session_auth_hash(request, user)
            messages.success(request, _("Your password was changed. Sessions elsewhere have ended."))
            return go(request, reverse("console:profile"))
    return ask(
        request,
        title=_("Change your password"),
        verb=_("Change password"),
        back=reverse("console:profile"),
        form=form,
    )
