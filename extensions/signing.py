"""How messages are signed: Standard Webhooks 1.0, with every secret that is valid, so that a rotation breaks nothing."""

import base64
import hmac
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256

from extensions.envelope import MEDIA_TYPE
from opscenter import VERSION

_PREFIX = "whsec_"


def headers_for(message_id: str, at: datetime, body: bytes, secrets: Sequence[str]) -> dict[str, str]:
    """The headers of one request; none of them is a secret.

    Args:
        message_id: the envelope's ``id``, the same at every try: receivers know repetitions by it.
        at: the moment of this try; receivers refuse what is too old.
        secrets: as the extension's owner has them (``whsec_...``).
    """
    timestamp = str(int(at.timestamp()))
    return {
        "Content-Type": MEDIA_TYPE,
        "User-Agent": f"Opscenter/{VERSION}",
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(_signature(message_id, timestamp, body, secret) for secret in secrets),
    }


def _signature(message_id: str, timestamp: str, body: bytes, secret: str) -> str:
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    return "v1," + base64.b64encode(hmac.digest(key, signed, sha256)).decode()
