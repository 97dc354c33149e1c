"""Verification of signed requests, pure: no database, no framework, no clock (spec/openapi.md 3).

Two schemes. ACS3 ("V3") signs headers, query and a hash of the body; V1 signs all query and form parameters. What comes
back is what was verified: callers use these parameters and parse nothing a second time.
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, quote

from opscenter.openapi.errors import fault, invalid, missing

CLOCK_TOLERANCE = timedelta(minutes=15)
NONCE_LIFE = 2 * CLOCK_TOLERANCE
"""How long a nonce is remembered: a time stamp may lie 15 min ahead and stays valid for 15 min after that."""

_ACS3 = {"ACS3-HMAC-SHA256": "sha256", "ACS3-HMAC-SM3": "sm3"}
_V1 = {"HMAC-SHA1": "sha1", "HMAC-SHA256": "sha256"}
_AUTHORIZATION = re.compile(r"(ACS3-[A-Z0-9-]+) +Credential=([^,\s]+), *SignedHeaders=([^,\s]+), *Signature=([^,\s]+)")
_KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_NONCE = re.compile(r"[\x21-\x7e]{1,128}")
_MUST_BE_SIGNED = (
    "host",
    "x-acs-action",
    "x-acs-content-sha256",
    "x-acs-date",
    "x-acs-signature-nonce",
    "x-acs-version",
)
_MAX_FIELDS = 2000


@dataclass(frozen=True)
class Sent:
    """A request as it arrived.

    Attributes:
        query: the raw query string; characters are bytes (latin-1), as WSGI has it.
        headers: names in lower case; characters of the values are bytes (latin-1).
        body: the raw body after transfer decoding.
    """

    method: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Key:
    """What is known of an access key."""

    secret: str
    active: bool


@dataclass(frozen=True)
class Call:
    """A verified request.

    Attributes:
        params: query and form (or JSON) parameters, form first; values are text unless the body was JSON.
        security_token: a token that was signed along; whether it is worth anything is the caller's to decide.
    """

    version: str
    action: str
    key_id: str
    params: Mapping[str, Any]
    scheme: str
    nonce: str
    security_token: str = ""


def verify(
    sent: Sent, *, now: datetime, key_of: Callable[[str], Key | None], use_nonce: Callable[[str, str, datetime], bool]
) -> Call:
    """Check a request's signature, time and nonce.

    Args:
        now: the present, aware.
        key_of: finds an access key by its id.
        use_nonce: (key id, nonce, expiry) -> False if this key used the nonce before. Called last, so that a request
            that is refused for another reason burns no nonce.

    Raises:
        WireError: the request is refused; the code says why.
    """
    if sent.headers.get("authorization", "").startswith("ACS3-"):
        call = _verify_acs3(sent, now, key_of)
    else:
        call = _verify_v1(sent, now, key_of)
    if not _NONCE.fullmatch(call.nonce):
        raise invalid("SignatureNonce", "It must be 1 to 128 printable characters without spaces.")
    if not use_nonce(call.key_id, call.nonce, now + NONCE_LIFE):
        raise fault("SignatureNonceUsed")
    return call


# ACS3


def _verify_acs3(sent: Sent, now: datetime, key_of: Callable[[str], Key | None]) -> Call:
    match = _AUTHORIZATION.fullmatch(sent.headers["authorization"].strip())
    if match is None:
        raise fault("IncompleteSignature", detail="The Authorization header is not well formed.")
    scheme, key_id, signed_headers, signature = match.groups()
    digest = _digest(scheme, _ACS3)
    _require_signed(sent, signed_headers.lower().split(";"))
    _check_time(sent.headers["x-acs-date"], now)
    secret = _secret_of(key_id, key_of)
    query = _pairs(sent.query.encode("latin-1"))
    content_hash = hashlib.new(digest, sent.body).hexdigest()
    expected = [
        f"{scheme}\n" + hashlib.new(digest, canonical.encode("latin-1")).hexdigest()
        for canonical in _acs3_canonicals(sent, query, signed_headers, content_hash)
    ]
    if not _any_matches(signature, (hmac.new(secret, text.encode(), digest).hexdigest() for text in expected)):
        raise fault("SignatureDoesNotMatch", string=expected[0])
    return Call(
        version=sent.headers["x-acs-version"].strip(),
        action=sent.headers["x-acs-action"].strip(),
        key_id=key_id,
        params=dict(query) | _body_params(sent),
        scheme=scheme,
        nonce=sent.headers["x-acs-signature-nonce"].strip(),
        security_token=sent.headers.get("x-acs-security-token", ""),
    )


def _require_signed(sent: Sent, signed: list[str]) -> None:
    """Refuse what could be changed on the way: every x-acs header counts, and so does the type of a body."""
    needed = set(_MUST_BE_SIGNED) | {name for name in sent.headers if name.startswith("x-acs-")}
    if sent.body:
        needed.add("content-type")
    unsigned = sorted(needed - set(signed))
    absent = sorted(name for name in signed if name not in sent.headers)
    if unsigned:
        raise fault("IncompleteSignature", detail=f"These headers must be signed: {', '.join(unsigned)}.")
    if absent:
        raise fault("IncompleteSignature", detail=f"These signed headers are not in the request: {', '.join(absent)}.")


def _acs3_canonicals(sent: Sent, query: list[tuple[str, str]], signed_headers: str, content_hash: str) -> Iterable[str]:
    """The canonical requests a correct client may have signed: names of the query as they are, or escaped (Java).

    The block of headers is sorted, the list of their names is taken as it was sent: Java does not sort it. The path is
    always ``/``: that is what clients sign, behind a prefix too.
    """
    block = "".join(f"{name}:{sent.headers[name].strip()}\n" for name in sorted(set(signed_headers.lower().split(";"))))
    seen = None
    for escape in (_same, _escape):
        text = "&".join(f"{escape(name)}={_escape(value)}" for name, value in sorted(query))
        if text != seen:
            # names that are not ASCII stay as bytes
            line = text.encode().decode("latin-1")
            yield "\n".join([sent.method, "/", line, block, signed_headers, content_hash])
        seen = text


# V1


def _verify_v1(sent: Sent, now: datetime, key_of: Callable[[str], Key | None]) -> Call:
    params = dict(_pairs(sent.query.encode("latin-1")))
    if _is_form(sent):
        params |= dict(_pairs(sent.body))
    elif _json_object(sent):
        raise fault("InvalidParameter.Format", detail="The V1 signature does not cover a JSON body; send form fields.")
    _refuse_bearer(sent, params)
    for name in ("AccessKeyId", "Signature", "SignatureMethod", "SignatureNonce", "Timestamp", "Action", "Version"):
        if not params.get(name):
            raise missing(name)
    digest = _digest(params["SignatureMethod"].upper(), _V1)
    if params.get("SignatureVersion", "1.0") != "1.0":
        raise invalid("SignatureVersion", "It must be 1.0.")
    _check_time(params["Timestamp"], now)
    secret = _secret_of(params["AccessKeyId"], key_of)
    signature = params.pop("Signature")
    without_empty = {name: value for name, value in params.items() if value}
    verified = None
    strings = []
    for signed in (params, without_empty):  # Java leaves empty values out of what it signs
        strings.append(_v1_string(sent.method, signed))
        expected = base64.b64encode(hmac.new(secret + b"&", strings[-1].encode(), digest).digest()).decode()
        if verified is None and _any_matches(signature, [expected]):
            verified = signed
    if verified is None:
        raise fault("SignatureDoesNotMatch", string=strings[0])
    return Call(
        version=verified["Version"],
        action=verified["Action"],
        key_id=verified["AccessKeyId"],
        params=verified,
        scheme=f"V1 {params['SignatureMethod'].upper()}",
        nonce=verified["SignatureNonce"],
        security_token=verified.get("SecurityToken", ""),
    )


def _v1_string(method: str, params: Mapping[str, str]) -> str:
    canonical = "&".join(f"{_escape(name)}={_escape(value)}" for name, value in sorted(params.items()))
    return f"{method}&%2F&{_escape(canonical)}"


def _refuse_bearer(sent: Sent, params: Mapping[str, str]) -> None:
    if "x-acs-bearer-token" in sent.headers or params.get("SignatureType", "").upper() == "BEARERTOKEN":
        raise fault("InvalidSecurityToken.Malformed")


# Both


def _digest(scheme: str, known: Mapping[str, str]) -> str:
    """The hash of a scheme; SM3 exists only where OpenSSL has it."""
    usable = {name: digest for name, digest in known.items() if digest in hashlib.algorithms_available}
    if scheme not in usable:
        raise fault("InvalidSignatureMethod", method=scheme, known=", ".join(usable))
    return usable[scheme]


def _check_time(text: str, now: datetime) -> None:
    try:
        stamp = datetime.strptime(text.strip(), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise fault("InvalidTimeStamp.Format") from None
    if abs(now - stamp) > CLOCK_TOLERANCE:
        raise fault("InvalidTimeStamp.Expired", now=f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}")


def _secret_of(key_id: str, key_of: Callable[[str], Key | None]) -> bytes:
    key = key_of(key_id) if _KEY_ID.fullmatch(key_id) else None
    if key is None:
        raise fault("InvalidAccessKeyId.NotFound")
    if not key.active:
        raise fault("InvalidAccessKeyId.Inactive")
    return key.secret.encode()


def _any_matches(signature: str, candidates: Iterable[str]) -> bool:
    """Constant-time comparison with every candidate."""
    return any(hmac.compare_digest(signature.encode(), candidate.encode()) for candidate in candidates)


def _same(text: str) -> str:
    return text


def _escape(text: str) -> str:
    return quote(text, safe="~")


def _content_type(sent: Sent) -> str:
    return sent.headers.get("content-type", "").partition(";")[0].strip().lower()


def _is_form(sent: Sent) -> bool:
    return _content_type(sent) in ("", "application/x-www-form-urlencoded")


def _body_params(sent: Sent) -> dict[str, Any]:
    return dict(_pairs(sent.body)) if _is_form(sent) else _json_object(sent)


def _pairs(raw: bytes) -> list[tuple[str, str]]:
    """Form-encoded pairs, blank values kept, ``+`` and ``%20`` both a space."""
    try:
        return parse_qsl(raw.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise fault(
            "InvalidParameter.Format", detail=f"Parameters must be UTF-8, and no more than {_MAX_FIELDS}."
        ) from None


def _json_object(sent: Sent) -> dict[str, Any]:
    """The parameters of a JSON body; JSON that is no object holds none (one client posts the text "{}")."""
    if not sent.body.strip():
        return {}
    if _content_type(sent) != "application/json":
        raise fault(
            "InvalidParameter.Format", detail="The body must be form fields or JSON, with a matching Content-Type."
        )
    try:
        value = json.loads(sent.body)
    except (ValueError, RecursionError):
        raise fault("InvalidParameter.Format", detail="The body is not valid JSON.") from None
    return value if isinstance(value, dict) else {}
