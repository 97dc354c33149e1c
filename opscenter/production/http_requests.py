"""What an HTTP node sends and what an answer means: parameters put in, URLs built, answers judged. Pure but for secrets.

Codes: ``http.status`` (status), ``http.task_id``, ``http.answer``, ``http.callback_status`` (status: the service's
word), ``http.body``; ``http.secret``.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from opscenter.base.reasons import Invalid, Reason
from opscenter.production.http_settings import Ask, HttpSettings, opened, status_succeeds

PROCESSING = "PROCESSING"
LONGEST_TASK_ID = 512
_SHOWN = 2000


@dataclass(frozen=True)
class Letter:
    """One request as it goes out."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def wire_headers(self) -> dict[str, str]:
        """The headers as they go on the wire: texts of any script as UTF-8."""
        return {name: value.encode().decode("latin-1") for name, value in self.headers.items()}


def filled(ask: Ask, fill: Callable[[str], str]) -> dict[str, Any]:
    """A request with its parameters put in, as it is kept while it is under way; secrets stay sealed."""
    return {
        "url": with_query(fill(ask.url), {fill(name): fill(value) for name, value in ask.params.items()}),
        "method": ask.method,
        "headers": {name: fill(value) for name, value in ask.headers.items()},
        "api_key_header": ask.api_key_header,
        "api_key": ask.api_key,
        "token": ask.token,
        "body": _body(ask.body, fill),
    }


def _body(body: Any, fill: Callable[[str], str]) -> str:
    """The text to send. Raises Invalid when a text is no JSON."""
    if body is None or body == "":
        return ""
    if isinstance(body, str):
        text = fill(body)
        try:
            json.loads(text)
        except ValueError as error:
            raise Invalid("http.body") from error
        return text
    return json.dumps(_filled_value(body, fill), ensure_ascii=False)


def _filled_value(value: Any, fill: Callable[[str], str]) -> Any:
    """Parameters go into texts only, so that whatever they hold the body stays JSON."""
    if isinstance(value, str):
        return fill(value)
    if isinstance(value, dict):
        return {fill(key): _filled_value(one, fill) for key, one in value.items()}
    return [_filled_value(one, fill) for one in value] if isinstance(value, list) else value


def with_query(url: str, params: Mapping[str, str]) -> str:
    """The URL with parameters behind those that it has."""
    if not params:
        return url
    return f"{url}{'&' if '?' in url else '?'}{urlencode(params)}"


def with_task_id(url: str, task_id: str) -> str:
    """The callback URL of a task: its id, escaped, at the end of the path, before ``?``."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{quote(task_id, safe='')}"))


def letter(kept: Mapping[str, Any], task_id: str = "", idempotency_key: str = "") -> Letter:
    """The request that was kept, with its secrets in the clear.

    Raises:
        SecretUnreadable: a secret cannot be opened any more.
    """
    headers = dict(kept["headers"])
    key, token = opened(kept["api_key"]), opened(kept["token"])
    if kept["body"] and not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = "application/json"
    if key:
        headers[kept["api_key_header"]] = key
    if token:
        headers["Authorization"] = f"Bearer {token}"
    if idempotency_key:
        headers["Idempotency-Key"] = idempotency_key
    url = with_task_id(kept["url"], task_id) if task_id else kept["url"]
    return Letter(kept["method"], url, headers, kept["body"].encode())


def hidden(plan: Mapping[str, Any]) -> tuple[str, ...]:
    """The secrets of all requests of a run, in the clear: none may be seen in what any of them brings.

    Raises:
        SecretUnreadable: a secret cannot be opened any more.
    """
    asked = [plan[name] for name in ("submit", "poll") if name in plan]
    return tuple(filter(None, (opened(kept[name]) for kept in asked for name in ("api_key", "token"))))


def host_of(url: str) -> str:
    """Whom a request goes to, as far as fairness is concerned; empty for what is no URL."""
    try:
        return urlsplit(url).netloc.lower()[:255]
    except ValueError:
        return ""


@dataclass(frozen=True)
class Verdict:
    """What an answer means: it goes on (with the service's task id, once known), it succeeded, or why it failed."""

    goes_on: bool = False
    task_id: str = ""
    failure: Reason | None = None


def judge_submit(settings: HttpSettings, status: int, body: bytes) -> Verdict:
    """What the answer to the node's own request means."""
    if not status_succeeds(settings.success, status):
        return Verdict(failure=Reason("http.status", {"status": status}))
    if settings.polling is None:
        return Verdict()
    given = _json(body)
    task_id = given.get("taskId") if isinstance(given, dict) else None
    if isinstance(task_id, int) and not isinstance(task_id, bool):
        task_id = str(task_id)
    if not isinstance(task_id, str) or not _is_task_id(task_id):
        return Verdict(failure=Reason("http.task_id"))
    return Verdict(goes_on=True, task_id=task_id)


def _is_task_id(text: str) -> bool:
    """Dots alone would lead out of the callback's path, and what cannot be printed is no id."""
    return 0 < len(text) <= LONGEST_TASK_ID and text.strip(".") != "" and text.isprintable() and text.strip() == text


def judge_poll(settings: HttpSettings, status: int, body: bytes) -> Verdict:
    """What the answer to a poll means."""
    assert settings.polling is not None, "only a node that polls gets such an answer"
    if not 200 <= status < 300:
        return Verdict(failure=Reason("http.status", {"status": status}))
    given = _json(body)
    word = given.get("status") if isinstance(given, dict) else None
    if not isinstance(word, str):
        return Verdict(failure=Reason("http.answer"))
    if word == PROCESSING:
        return Verdict(goes_on=True)
    if word in settings.polling.success:
        return Verdict()
    return Verdict(failure=Reason("http.callback_status", {"status": redacted(word[:200], ())}))


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):  # not JSON, not UTF-8, or nested to hurt us
        return None


def redacted(text: str, hidden: tuple[str, ...]) -> str:
    """A text as a log may have it: on one line, without secrets in any spelling that they are sent in."""
    for secret in sorted(hidden, key=len, reverse=True):
        for spelling in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1]):
            text = text.replace(spelling, "***")
    text = text.replace("\0", "\ufffd").replace("\r", " ").replace("\n", " ")
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} …"
