"""Parts of pages that keep themselves up to date: asked for again by the page, and answered only when they changed."""

import hashlib
from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.cache import patch_vary_headers
from django.utils.translation import get_language

QUICK = 3
"""Seconds between refreshes while something on the page is going on."""

SLOW = 15
"""Seconds between refreshes otherwise."""

NOTHING_NEW = 304


def tag_of(*parts: Any) -> str:
    """A short text that differs when any of the parts differs, in this language.

    The parts are values whose ``repr`` tells all of them: plain values and dataclasses of such.
    """
    told = repr((get_language(), parts)).encode()
    return hashlib.blake2b(told, digest_size=12).hexdigest()


def unchanged(request: HttpRequest, tag: str) -> HttpResponse | None:
    """The empty answer, when the page shows exactly this already."""
    return HttpResponse(status=NOTHING_NEW) if request.headers.get("HX-PTag") == tag else None


def fragment(request: HttpRequest, template: str, context: Mapping[str, Any], tag: str = "") -> HttpResponse:
    """A part of a page, or nothing when the page shows the same already.

    Args:
        tag: what ``tag_of`` made of everything the part shows; without it the part is compared as rendered.
    """
    if tag and (answer := unchanged(request, tag)):
        return answer
    text = render_to_string(template, {**context, "tag": tag}, request)
    if not tag:
        tag = tag_of(text)
        if answer := unchanged(request, tag):
            return answer
    return as_part(HttpResponse(text), tag)


def as_part(response: HttpResponse, tag: str = "") -> HttpResponse:
    """Marks an answer as one that differs from the page at the same address, and must not be taken from a cache."""
    patch_vary_headers(response, ["HX-Request"])
    response["Cache-Control"] = "no-store"
    if tag:
        response["HX-PTag"] = tag
    return response


def whole(request: HttpRequest, template: str, context: Mapping[str, Any], status: int = 200) -> HttpResponse:
    """A whole page at an address that also answers with parts of it."""
    response = render(request, template, dict(context), status=status)
    patch_vary_headers(response, ["HX-Request"])
    return response
