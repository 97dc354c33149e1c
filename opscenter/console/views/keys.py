"""One's own page: who one is, and the access keys of one's programs."""

from django.contrib import messages
from django.db.models import F
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_GET, require_http_methods

from opscenter.base.reasons import Invalid, NotFound
from opscenter.console.access import SignedInRequest, actor, go, is_partial, signed_in
from opscenter.console.dialogs import ask
from opscenter.console.forms import AccessKeyForm, EmailForm, refuse
from opscenter.operations import access_keys, sessions
from opscenter.workspaces.models import AccessKey, Member


@require_GET
@signed_in
def profile(request: SignedInRequest) -> HttpResponse:
    """The user, their workspaces and their access keys; never a secret."""
    memberships = Member.objects.filter(user=request.user).select_related("workspace").order_by("workspace__name")
    context = {
        "keys": AccessKey.objects.filter(user=request.user)
        .defer("secret")
        .order_by(F("revoked_at").desc(nulls_first=True), "-pk"),
        "memberships": [(member, [role.name for role in member.held_roles]) for member in memberships],
    }
    return render(request, "console/keys/profile.html", context)


@require_http_methods(["GET", "POST"])
@signed_in
def change_email(request: SignedInRequest) -> HttpResponse:
    """Where the user gets mail."""
    form = EmailForm(request.POST if request.method == "POST" else None, initial={"email": request.user.email})
    if request.method == "POST" and form.is_valid():
        try:
            sessions.change_email(actor(request), form.cleaned_data["email"])
        except Invalid as error:
            refuse(form, error)
        else:
            messages.success(request, _("Your mail address was changed."))
            return go(request, reverse("console:profile"))
    return ask(
        request,
        title=_("Change your mail address"),
        verb=_("Save"),
        back=reverse("console:profile"),
        form=form,
    )


@cache_control(no_store=True, private=True)
@require_http_methods(["GET", "POST"])
@signed_in
def create(request: SignedInRequest) -> HttpResponse:
    """A new key; the answer shows its secret, this once."""
    form = AccessKeyForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            key, secret = access_keys.create(actor(request), form.cleaned_data["description"])
        except Invalid as error:
            refuse(form, error)
        else:
            template = "console/keys/created_dialog.html" if is_partial(request) else "console/keys/created.html"
            return render(request, template, {"key": key, "secret": secret})
    return ask(
        request,
        title=_("New access key"),
        text=_("Programs that sign in with it may do all that you may do, in all your workspaces."),
        verb=_("Create access key"),
        back=reverse("console:profile"),
        form=form,
    )


@require_http_methods(["GET", "POST"])
@signed_in
def revoke(request: SignedInRequest, pk: int) -> HttpResponse:
    """Ends a key of one's own, after a question."""
    if request.method == "POST":
        key = access_keys.revoke(actor(request), pk)
        messages.success(request, _("The access key %(key)s was revoked.") % {"key": key.key_id})
        return go(request, reverse("console:profile"))
    found = AccessKey.objects.filter(user=request.user, pk=pk).first()
    if found is None:
        raise NotFound("access_key.unknown")
    return ask(
        request,
        title=_("Revoke this access key?"),
        text=_("Programs that still use it are refused from this moment on. It cannot be brought back."),
        names=[{"name": found.key_id, "note": found.description}],
        verb=_("Revoke access key"),
        back=reverse("console:profile"),
        irreversible=True,
    )
