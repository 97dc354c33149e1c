"""Content-addressed bytes in the database."""

import hashlib

from opscenter.base.models import Blob


def put(content: bytes) -> Blob:
    """Store bytes; the same bytes are stored once."""
    sha256 = hashlib.sha256(content).hexdigest()
    blob, _ = Blob.objects.get_or_create(sha256=sha256, defaults={"size": len(content), "content": content})
    return blob


def get(sha256: str) -> bytes:
    """The bytes of a stored blob; raises Blob.DoesNotExist."""
    return bytes(Blob.objects.values_list("content", flat=True).get(sha256=sha256))
