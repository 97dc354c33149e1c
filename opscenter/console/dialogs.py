"""Asking before something is done: a dialog on the open page, or a page of its own where the link was opened as one."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from opscenter.console.access import is_partial


def ask(
    request: HttpRequest,
    *,
    title: str,
    verb: str,
    back: str,
    text: str = "",
    form: forms.Form | None = None,
    names: Sequence[dict[str, Any]] = (),
    irreversible: bool = False,
    has_file: bool = False,
    problems: Sequence[Any] = (),
    warnings: Sequence[Any] = (),
    is_refused: bool = False,
    part: str = "",
    details: Any = None,
) -> HttpResponse:
    """The question; with a form that has errors, the same question again with status 422.

    Args:
        verb: the words on the button that does it.
        back: where the page leads when the question is left.
        names: what it will happen to, as ``{"name", "note"}``.
        problems, warnings: what stands against it, and what should be known (drafts.Finding).
        is_refused: it was tried, and the problems are why it was not done.
        part: a template shown above the form, for what a sentence cannot say; it finds ``details``.
    """
    context = {
        "title": title,
        "verb": verb,
        "back": back,
        "text": text,
        "form": form,
        "names": names,
        "irreversible": irreversible,
        "has_file": has_file,
        "problems": problems,
        "warnings": warnings,
        "part": part,
        "details": details,
        "action_url": request.get_full_path(),
    }
    template = "console/workspace/dialog.html" if is_partial(request) else "console/workspace/question.html"
    is_wrong = is_refused or (form is not None and bool(form.errors))
    return render(request, template, context, status=422 if is_wrong else 200)
