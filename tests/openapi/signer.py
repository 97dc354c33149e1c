"""A signer written from the description of the two schemes alone, to hold the verifier against."""

import base64
import hashlib
import hmac
import random
import uuid
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

from opscenter.openapi.signature import Sent

FORM = "application/x-www-form-urlencoded"


def percent(text: str) -> str:
    return quote(text, safe="-_.~")


def stamp(moment: datetime | None = None) -> str:
    return (moment or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def acs3(
    action: str,
    version: str,
    key_id: str,
    secret: str,
    *,
    query: dict[str, str] | None = None,
    form: dict[str, str] | None = None,
    body: bytes | None = None,
    content_type: str = FORM,
    method: str = "POST",
    host: str = "127.0.0.1:8000",
    now: datetime | None = None,
    nonce: str | None = None,
    algorithm: str = "SHA256",
    shuffle: bool = False,
    escape_names: bool = False,
    extra: dict[str, str] | None = None,
) -> Sent:
    """A request signed by ACS3; ``shuffle``: the list of signed headers unsorted, as Java sends it."""
    payload = urlencode(form or {}).encode() if body is None else body
    digest = algorithm.lower()
    headers = {
        "host": host,
        "x-acs-version": version,
        "x-acs-action": action,
        "x-acs-date": stamp(now),
        "x-acs-signature-nonce": nonce or uuid.uuid4().hex,
        "x-acs-content-sha256": hashlib.new(digest, payload).hexdigest(),
        **({"content-type": content_type} if payload else {}),
        **(extra or {}),
    }
    names = sorted(headers)
    block = "".join(f"{name}:{headers[name].strip()}\n" for name in names)
    if shuffle:
        random.shuffle(names)
    pairs = sorted((query or {}).items())
    line = "&".join(f"{percent(k) if escape_names else k}={percent(v)}" for k, v in pairs)
    parts = [method, "/", line, block, ";".join(names), headers["x-acs-content-sha256"]]
    text = f"ACS3-HMAC-{algorithm}\n" + hashlib.new(digest, "\n".join(parts).encode()).hexdigest()
    signature = hmac.new(secret.encode(), text.encode(), digest).hexdigest()
    headers["authorization"] = (
        f"ACS3-HMAC-{algorithm} Credential={key_id},SignedHeaders={';'.join(names)},Signature={signature}"
    )
    return Sent(method, urlencode(pairs), headers, payload)


def v1(
    action: str,
    version: str,
    key_id: str,
    secret: str,
    *,
    query: dict[str, str] | None = None,
    form: dict[str, str] | None = None,
    method: str = "POST",
    host: str = "127.0.0.1:8000",
    now: datetime | None = None,
    nonce: str | None = None,
    algorithm: str = "SHA1",
    drop_empty: bool = False,
    all_in_form: bool = False,
) -> Sent:
    """A request signed by V1; ``drop_empty``: empty values are sent but not signed, as Java does."""
    system = {
        "Action": action,
        "Version": version,
        "AccessKeyId": key_id,
        "Timestamp": stamp(now),
        "SignatureNonce": nonce or uuid.uuid4().hex,
        "SignatureMethod": f"HMAC-{algorithm}",
        "SignatureVersion": "1.0",
        "SignatureType": "",
        "Format": "JSON",
    }
    query, form = dict(query or {}) | system, dict(form or {})
    signed = {k: v for k, v in (query | form).items() if v or not drop_empty}
    canonical = "&".join(f"{percent(k)}={percent(v)}" for k, v in sorted(signed.items()))
    text = f"{method}&%2F&{percent(canonical)}"
    made = hmac.new(f"{secret}&".encode(), text.encode(), algorithm.lower()).digest()
    query["Signature"] = base64.b64encode(made).decode()
    if all_in_form:
        query, form = {}, query | form
    headers = {"host": host} | ({"content-type": FORM} if form else {})
    return Sent(method, urlencode(query), headers, urlencode(form).encode())
