"""What the codes of HTTP nodes say: settings, answers, and what they wait for."""

from collections.abc import Mapping
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from opscenter.base.reasons import say, sentence
from opscenter.production.sentences import moment

Params = Mapping[str, Any]


def _plain(code: str, text: Promise) -> None:
    sentence(code)(lambda params: str(text) % params)


for _code, _text in {
    "http.document": gettext_lazy("The settings of an HTTP node are a JSON object with a URL."),
    "http.field": gettext_lazy(
        "The setting “%(setting)s” of the HTTP node is missing, or has a value that it cannot have."
    ),
    "http.body": gettext_lazy("The request body is not JSON once its parameters are put in."),
    "http.secret": gettext_lazy(
        "The API key or the token cannot be decrypted any more. Enter it again and publish the node."
    ),
    "http.status": gettext_lazy("The service answered with the status code %(status)s."),
    "http.secret_again": gettext_lazy(
        "“%(node)s” sends its request to another host, to which a stored secret is not taken along. Enter it again: "
        "%(setting)s."
    ),
    "http.task_id": gettext_lazy(
        "The answer has no usable “taskId”, so that the service cannot be asked for the result."
    ),
    "http.answer": gettext_lazy("The answer to the poll is not a JSON object with a “status”."),
    "http.callback_status": gettext_lazy("The service says that the task ended with the status “%(status)s”."),
    "http.unknown": gettext_lazy(
        "The courier ended while the request was under way. The service may have received it, so it is not sent again by "
        "itself. Look at the service, then rerun the instance or set it to succeeded."
    ),
    "http.not_executed": gettext_lazy("The node is set to Do Not Execute; nothing was sent."),
    "explain.http_request": gettext_lazy(
        "Attempt %(attempt)s sends its request, or waits for the service's answer to it."
    ),
    "explain.http_request.short": gettext_lazy("Waits for the service's answer"),
    "explain.resources_uncalled": gettext_lazy("A courier sends its request, and no courier is running."),
    "explain.resources_uncalled.short": gettext_lazy("No courier is running"),
    "explain.http_uncalled": gettext_lazy(
        "Attempt %(attempt)s is under way at the service, but no courier is running that would ask for the result."
    ),
    "explain.http_uncalled.short": gettext_lazy("No courier is running"),
    "explain.http_asking": gettext_lazy("Attempt %(attempt)s is asking the service for the result."),
    "explain.http_asking.short": gettext_lazy("Asks the service for the result"),
}.items():
    _plain(_code, _text)


@sentence("http.no_answer")
def _no_answer(params: Params) -> str:
    return _(
        "%(why)s The service may have received the request, so it is not sent again by itself. "
        "Look at the service, then rerun the instance or set it to succeeded."
    ) % {"why": say(params["why"]["code"], params["why"]["params"])}


@sentence("explain.http_polling")
def _polling(params: Params) -> str:
    return _("Attempt %(attempt)s waits for the service's answer; the next poll is at %(at)s.") % {
        **params,
        "at": moment(params["at"]),
    }


@sentence("explain.http_polling.short")
def _polling_short(params: Params) -> str:
    return _("Waits for the service; next poll at %(at)s") % {"at": moment(params["at"])}
