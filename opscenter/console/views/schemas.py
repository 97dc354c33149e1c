"""JSON Schemas of the messages to extensions, open to all: programs fetch them."""

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.utils import translation
from django.views.decorators.http import require_safe

from extensions.points import POINTS
from extensions.schemas import schema_of
from opscenter.console.access import open_to_all
from opscenter.console.message_fields import WORDS


@open_to_all
@require_safe
def event_schema(request: HttpRequest, code: str) -> HttpResponse:
    """The schema of the messages at an extension point or of a regular event."""
    if code not in POINTS:
        raise Http404
    with translation.override("en"):
        words = {path: str(text) for path, text in WORDS.items()}
    answer = JsonResponse(
        schema_of(code, settings.PUBLIC_URL + reverse("console:event_schema", kwargs={"code": code}), words),
        json_dumps_params={"indent": 2, "ensure_ascii": False},
        content_type="application/schema+json",
    )
    answer["Access-Control-Allow-Origin"] = "*"
    answer["Cache-Control"] = "public, max-age=3600"
    return answer
