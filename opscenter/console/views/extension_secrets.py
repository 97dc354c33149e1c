"""An extension's signing secrets and access keys: made, shown once, ended."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_http_methods

from extensions.models import Extension
from opscenter.base.reasons import NotFound
from opscenter.console.access import ConsoleRequest, actor, go, here, in_workspace, is_partial
from opscenter.console.dialogs import ask
from opscenter.operations import extension_secrets
from opscenter.operations.extension_permits import find, require_change
from opscenter.workspaces.models import AccessKey


@cache_control(no_store=True, private=True)
@require_http_methods(["GET", "POST"])
@in_workspace
def rotate(request: ConsoleRequest, code: str) -> HttpResponse:
    """A new signing secret; the answer shows it, this once."""
    extension = _changed(request, code)
    back = here(request, "extension", code=code)
    if request.method == "POST":
        extension, secret = extension_secrets.rotate_secret(actor(request), code)
        context = {"extension": extension, "secret": secret, "title": _("A new signing secret"), "back": back}
        template = "secret_dialog.html" if is_partial(request) else "secret.html"
        return render(request, f"console/extensions/{template}", context)
    return ask(
        request,
        title=_("Rotate the signing secret of “%(extension)s”?") % {"extension": extension},
        text=_(
            "For 24 hours messages carry a signature of the new secret and one of the old, so that you can exchange it "
            "without missing a message. After that the old one is not used any more."
        ),
        verb=_("Rotate secret"),
        back=back,
    )


@cache_control(no_store=True, private=True)
@require_http_methods(["GET", "POST"])
@in_workspace
def create_key(request: ConsoleRequest, code: str) -> HttpResponse:
    """A new access key; the answer shows its secret, this once."""
    extension = _changed(request, code)
    back = here(request, "extension", code=code)
    if request.method == "POST":
        key, secret = extension_secrets.create_key(actor(request), code)
        context = {"key": key, "secret": secret, "back": back}
        template = "key_dialog.html" if is_partial(request) else "key.html"
        return render(request, f"console/extensions/{template}", context)
    return ask(
        request,
        title=_("New access key of “%(extension)s”?") % {"extension": extension},
        text=_(
            "With it the extension gives its verdicts through the API. It is good for nothing else, so it may lie where "
            "the extension runs."
        ),
        verb=_("Create access key"),
        back=back,
    )


@require_http_methods(["GET", "POST"])
@in_workspace
def revoke_key(request: ConsoleRequest, code: str, pk: int) -> HttpResponse:
    """Ends a key of the extension, after a question."""
    extension = _changed(request, code)
    back = here(request, "extension", code=code)
    if request.method == "POST":
        key = extension_secrets.revoke_key(actor(request), code, pk)
        messages.success(request, _("The access key %(key)s was revoked.") % {"key": key.key_id})
        return go(request, back)
    found = AccessKey.objects.filter(extension_key__extension=extension, pk=pk).first()
    if found is None:
        raise NotFound("extension.key_unknown")
    return ask(
        request,
        title=_("Revoke this access key?"),
        text=_("Verdicts that are signed with it are refused from this moment on. It cannot be brought back."),
        names=[{"name": found.key_id, "note": extension.name}],
        verb=_("Revoke access key"),
        back=back,
        irreversible=True,
    )


def _changed(request: ConsoleRequest, code: str) -> Extension:
    """The extension, if the reader may change it."""
    extension = find(actor(request), code)
    require_change(actor(request), extension)
    return extension
