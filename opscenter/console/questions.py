"""Questions before an operation: over the open page, or as a page of their own; where they lead afterwards."""

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy

from opscenter.console.access import is_partial


class CommentForm(forms.Form):
    """What every operation asks for."""

    use_required_attribute = False

    comment = forms.CharField(
        label=gettext_lazy("Comment"),
        max_length=1000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=gettext_lazy("Kept in the history and in the audit trail."),
    )


class ReasonForm(CommentForm):
    """The same where a comment must be given."""

    comment = forms.CharField(
        label=gettext_lazy("Comment"),
        max_length=1000,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=gettext_lazy("Why it is right to do so. Kept in the history and in the audit trail."),
    )


def ask(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """Show a question; again with status 422 when its form has errors.

    Args:
        context: what ``console/operations/question_body.html`` says, with ``form``.
    """
    form = context["form"]
    template = "console/operations/question_dialog.html" if is_partial(request) else "console/operations/question.html"
    return render(request, template, context, status=422 if form.errors else 200)


def back_url(request: HttpRequest, asked: str) -> str:
    """Where to go afterwards: what the question carried along, or the page that it was asked on."""
    for url in (asked, request.headers.get("HX-Current-URL", ""), request.headers.get("Referer", "")):
        if url and url_has_allowed_host_and_scheme(url, {request.get_host()}):
            return url
    return "/"
