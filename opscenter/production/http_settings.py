"""The document of an HTTP node, read and sealed: what it asks, whom, and what counts as success.

It stands where other nodes have their script::

    {"url": "https://jobs.example/run", "method": "POST", "headers": {"X-Team": "data"},
     "apiKey": {"header": "X-API-Key", "value": "..."}, "token": "...",
     "params": {"day": "${bizdate}"}, "body": {"code": "..."}, "success": "2xx",
     "callback": {"interval": 30, "url": "https://jobs.example/status", "success": ["SUCCESS", "FINISHED"]},
     "runStatus": "Normal", "requestTimeout": 30, "safeToRepeat": false}

``callback`` has a request of its own: method, headers, apiKey, token, params, body. Secrets are stored sealed, as
``{"sealed": "..."}``. Codes of errors: ``http.document``; ``http.field`` (setting).
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from opscenter.base import secrets
from opscenter.base.reasons import Invalid
from opscenter.production.node_types import HTTP

MASK = "••••••"
SUCCESS = "SUCCESS"
MOST_HEADERS = 50
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_STATUS_RULE = re.compile(r"[1-5]xx|[1-5][0-9]{2}(?:-[1-5][0-9]{2})?", re.IGNORECASE)


class HttpSettingsError(Invalid):
    """A document that is no HTTP node's; ``reason`` names the field."""


@dataclass(frozen=True)
class Ask:
    """One request as it is written, parameters not yet put in.

    Attributes:
        api_key, token: sealed, or plain where the document was never stored; empty for none.
        body: any JSON value; None for no body. A text is sent as it is, and must be JSON by then.
    """

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    api_key_header: str = "X-API-Key"
    api_key: Any = ""
    token: Any = ""
    params: Mapping[str, str] = field(default_factory=dict)
    body: Any = None


@dataclass(frozen=True)
class Polling:
    """Callback polling: after the answer to the request, this one is asked until it says how the task ended."""

    ask: Ask
    interval: int
    success: tuple[str, ...] = (SUCCESS,)


@dataclass(frozen=True)
class HttpSettings:
    """An HTTP node.

    Attributes:
        success: which status codes succeed: ``2xx,304,400-404``.
        executes: False for run status Do Not Execute.
        request_timeout: seconds that one request may take.
        safe_to_repeat: a request that may have arrived may be sent again.
    """

    ask: Ask
    success: str = "2xx"
    polling: Polling | None = None
    executes: bool = True
    request_timeout: int = 30
    safe_to_repeat: bool = False


def read(content: str) -> HttpSettings:
    """The settings in a node's content.

    Raises:
        HttpSettingsError: it is no JSON object, or a field has no meaning here.
    """
    given = _object(content)
    ask = _ask(given, "")
    polling = _polling(given["callback"]) if given.get("callback") else None
    success = given.get("success", "2xx")
    if not isinstance(success, str) or not success or not all(map(_STATUS_RULE.fullmatch, _words(success))):
        raise _wrong("success")
    status = given.get("runStatus", "Normal")
    if status not in ("Normal", "DoNotExecute"):
        raise _wrong("runStatus")
    safe = given.get("safeToRepeat", ask.method == "GET" and polling is None)
    if not isinstance(safe, bool):
        raise _wrong("safeToRepeat")
    timeout = _number(given, "requestTimeout", 30, 1, 300, "")
    return HttpSettings(ask, success, polling, status == "Normal", timeout, safe)


def seal(content: str, before: str = "") -> str:
    """The document as it may be stored: every secret encrypted; one that has not changed exactly as it was ``before``.

    What cannot be read as a JSON object is kept as it is; publishing it is refused.
    """
    try:
        document = _object(content)
    except HttpSettingsError:
        return content
    try:
        old = _object(before)
    except HttpSettingsError:
        old = {}
    _each_secret(document, old, _sealed)
    return json.dumps(document, ensure_ascii=False, indent=2)


def moved_secrets(content: str, before: str) -> list[str]:
    """Settings whose stored secret would be kept although their request goes elsewhere now: whoever does this must know
    the secret, and enter it again. Documents that cannot be read have none."""
    try:
        new, old = _object(content), _object(before)
    except HttpSettingsError:
        return []
    found = []
    for prefix, part, was in (("", new, old), ("callback.", new.get("callback"), old.get("callback"))):
        if not isinstance(part, dict) or _target(part) == _target(was):
            continue
        kept = {"apiKey": (part.get("apiKey"), _get(was, "apiKey")), "token": (part, was)}
        for name, (holder, held) in kept.items():
            key = "token" if name == "token" else "value"
            stored = _get(held, key)
            if stored and _get(holder, key) in (MASK, stored) and not isinstance(stored, str):
                found.append(prefix + name)
    return found


def _target(part: Any) -> str:
    """Where a request goes: scheme and host, parameters not put in."""
    url = _get(part, "url")
    scheme, _, rest = str(url or "").strip().partition("://")
    return f"{scheme}://{re.split(r'[/?#]', rest)[0]}".lower()


def masked(content: str) -> str:
    """The document as it may be shown."""
    try:
        document = _object(content)
    except HttpSettingsError:
        return content
    _each_secret(document, {}, lambda secret, _old: MASK if secret else secret)
    return json.dumps(document, ensure_ascii=False, indent=2)


def shown(node_type: str, content: str) -> str:
    """A node's content as it may be shown, whatever its type."""
    return masked(content) if node_type == HTTP.code else content


def opened(secret: Any) -> str:
    """A secret in the clear.

    Raises:
        SecretUnreadable: the key it was sealed with is not among the installation's keys.
    """
    return secrets.decrypt(secret["sealed"]) if isinstance(secret, Mapping) else str(secret)


def status_succeeds(rule: str, status: int) -> bool:
    """Whether a status code fits ``2xx,304,400-404``."""
    for word in _words(rule):
        least, _, most = word.lower().replace("xx", "00").partition("-")
        if int(least) <= status <= (int(least) + 99 if word.lower().endswith("xx") else int(most or least)):
            return True
    return False


def _words(rule: str) -> list[str]:
    return [word.strip() for word in rule.split(",")]


def _object(content: str) -> dict[str, Any]:
    try:
        given = json.loads(content)
    except ValueError as error:
        raise HttpSettingsError("http.document") from error
    if not isinstance(given, dict):
        raise HttpSettingsError("http.document")
    return given


def _ask(given: Mapping[str, Any], prefix: str) -> Ask:
    url, method = given.get("url"), given.get("method", "GET")
    if not isinstance(url, str) or not url.strip():
        raise _wrong(prefix + "url")
    if method not in ("GET", "POST"):
        raise _wrong(prefix + "method")
    headers = _texts(given, "headers", prefix)
    if len(headers) > MOST_HEADERS or not all(map(_HEADER.fullmatch, headers)):
        raise _wrong(prefix + "headers")
    key = given.get("apiKey") or {}
    if not isinstance(key, Mapping) or not _is_secret(key.get("value", "")):
        raise _wrong(prefix + "apiKey")
    name = key.get("header", "X-API-Key")
    if not isinstance(name, str) or not _HEADER.fullmatch(name):
        raise _wrong(prefix + "apiKey.header")
    token = given.get("token") or ""
    if not _is_secret(token):
        raise _wrong(prefix + "token")
    params = _texts(given, "params", prefix)
    return Ask(url.strip(), method, headers, name, key.get("value", ""), token, params, given.get("body"))


def _polling(given: Any) -> Polling:
    if not isinstance(given, Mapping):
        raise _wrong("callback")
    success = given.get("success", [SUCCESS])
    if not isinstance(success, list) or not success or not all(isinstance(word, str) and word for word in success):
        raise _wrong("callback.success")
    interval = _number(given, "interval", 30, 1, 86400, "callback.")
    return Polling(_ask(given, "callback."), interval, tuple(success))


def _texts(given: Mapping[str, Any], name: str, prefix: str) -> dict[str, str]:
    values = given.get(name) or {}
    if not isinstance(values, Mapping) or not all(
        isinstance(value, str | int | float) and not isinstance(value, bool) for value in values.values()
    ):
        raise _wrong(prefix + name)
    return {key: str(value) for key, value in values.items()}


def _number(given: Mapping[str, Any], name: str, default: int, least: int, most: int, prefix: str) -> int:
    value = given.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise _wrong(prefix + name)
    return value


def _is_secret(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, Mapping) and isinstance(value.get("sealed"), str))


def _wrong(name: str) -> HttpSettingsError:
    return HttpSettingsError("http.field", setting=name)


def _each_secret(document: dict[str, Any], old: Any, change: Callable[[Any, Any], Any]) -> None:
    """Replace every secret of the two requests by what ``change`` makes of it and of its value before."""
    for part, was in ((document, old), (document.get("callback"), _get(old, "callback"))):
        if not isinstance(part, dict):
            continue
        if part.get("token"):
            part["token"] = change(part["token"], _get(was, "token"))
        key = part.get("apiKey")
        if isinstance(key, dict) and key.get("value"):
            key["value"] = change(key["value"], _get(_get(was, "apiKey"), "value"))


def _get(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else None


def _sealed(secret: Any, before: Any) -> Any:
    if not isinstance(secret, str):  # sealed elsewhere: whoever saw it there must not get it sent to a server of theirs
        return secret if secret == before else ""
    try:
        if isinstance(before, Mapping) and (secret == MASK or opened(before) == secret):
            return before
    except (secrets.SecretUnreadable, KeyError, AttributeError):
        pass  # what was there cannot be read any more: the new one counts
    return {"sealed": secrets.encrypt(secret)}
