"""Who asks for an operation, and through which face."""

from dataclasses import dataclass

from opscenter.workspaces.models import AuditEntry, User


@dataclass(frozen=True)
class Actor:
    """The asker of an operation.

    Attributes:
        face: the door the request came through.
        address: the asker's IP address, if there is one.
        access_key_id: the key that signed the request (API only).
        request_id: the RequestId the API answers with.
        api: the API operation's name and version, for receipts.
    """

    user: User
    face: AuditEntry.Face
    address: str | None = None
    access_key_id: str = ""
    request_id: str = ""
    api: str = ""
