"""Where a SQL node's statements go: what its program is told through a pipe, and nobody else."""

import json
from dataclasses import asdict, dataclass, field

POSTGRESQL = "postgresql"
SQLITE = "sqlite"


@dataclass(frozen=True)
class Own:
    """Opscenter's own database, which no data source may be.

    Attributes:
        system: the server's identifier, which its replicas share.
        database: the oid of the database.
        role: whom Opscenter connects as.
    """

    system: str
    database: int
    role: str


@dataclass(frozen=True)
class Target:
    """A data source with its credentials.

    Attributes:
        path: the file of a SQLite database; the others are PostgreSQL's.
        program: what the database's server shows as the name of the program.
    """

    type: str
    host: str = ""
    port: int = 5432
    database: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    sslmode: str = "prefer"
    path: str = ""
    program: str = "opscenter"
    own: Own | None = None

    def as_line(self) -> bytes:
        """The form in which it is told: one line."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> "Target":
        """What ``as_line`` told."""
        values = json.loads(line)
        return cls(**values | {"own": Own(**values["own"]) if values["own"] else None})
