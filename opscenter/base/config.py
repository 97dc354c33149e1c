"""Configuration from the environment. Knows nothing of Django, so that settings can be made of it.

docs/configuration.md says what each variable means.
"""

import base64
import json
import os
import re
import secrets
from collections.abc import Callable, Mapping
from email.utils import parseaddr
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

Env = Mapping[str, str]
EMBEDDED_RECORD = "postgres.json"
"""In the data folder: where the embedded server keeps its files and its socket (processes/embedded.py writes it)."""
_DATABASE_NAME = "opscenter"
_CONNECT_TIMEOUT = 10
_MAIL_TIMEOUT = 10
_MAIL_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}


class Misconfigured(SystemExit):
    """The environment asks for something impossible; the sentence goes to the terminal and the process ends."""


def words(name: str, default: str, env: Env = os.environ) -> list[str]:
    """A list, separated by commas or spaces."""
    return env.get(name, default).replace(",", " ").split()


def integer(name: str, default: int, *, least: int = 1, most: int = 65535, env: Env = os.environ) -> int:
    """A whole number between two bounds."""
    given = env.get(name, "").strip()
    if not given:
        return default
    if not given.isascii() or not given.isdigit() or not least <= int(given) <= most:
        raise Misconfigured(f"{name} must be a whole number from {least} to {most}, not {given!r}.")
    return int(given)


def choice(name: str, choices: tuple[str, ...], env: Env = os.environ) -> str:
    """One of some words; the first is the default."""
    given = env.get(name, "").strip() or choices[0]
    if given not in choices:
        raise Misconfigured(f"{name} must be one of {', '.join(choices)}, not {given!r}.")
    return given


def program(name: str, env: Env = os.environ) -> str:
    """The full path of a program; empty when none is named. Whether it is there, the host that runs it knows."""
    given = env.get(name, "").strip()
    if given and not Path(given).is_absolute():
        raise Misconfigured(f"{name} must be the full path of a program, not {given!r}.")
    return given


def data_dir(base: Path, env: Env = os.environ) -> Path:
    """The folder for everything this installation writes; made if missing. A relative path counts from ``base``."""
    folder = base / env.get("OPSCENTER_DATA", "var")
    try:
        # others may pass through to what is theirs (the embedded server's user), not look around
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    except OSError as error:
        raise Misconfigured(
            f"Cannot use the data folder {folder}: {error.strerror}. Set OPSCENTER_DATA to a folder you may write."
        ) from error
    return folder.resolve()


def sqlite_dir(base: Path, data: Path, env: Env = os.environ) -> Path:
    """The folder that SQLite data sources lie in; made when it is first used. A relative path counts from ``base``."""
    given = env.get("OPSCENTER_SQLITE_DIR", "").strip()
    return base / given if given else data / "sqlite"


def secret_key(data: Path, env: Env = os.environ) -> str:
    """What sessions and tokens are signed with."""
    return env.get("OPSCENTER_SECRET_KEY", "") or _kept(data / "secret_key", lambda: secrets.token_urlsafe(50))


def encryption_keys(data: Path, env: Env = os.environ) -> list[str]:
    """Fernet keys for stored secrets; the first encrypts, all decrypt."""
    given = env.get("OPSCENTER_ENCRYPTION_KEYS", "") or _kept(data / "encryption_keys", _new_fernet_key)
    keys = given.replace(",", " ").split()
    for key in keys:
        if not _is_fernet_key(key):
            raise Misconfigured(
                "OPSCENTER_ENCRYPTION_KEYS must be Fernet keys (32 bytes in URL-safe base64), separated by commas."
            )
    if not keys:
        raise Misconfigured("OPSCENTER_ENCRYPTION_KEYS names no key.")
    return keys


def _new_fernet_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


def _is_fernet_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, altchars=b"-_", validate=True)) == 32
    except ValueError:
        return False


def _kept(path: Path, make: Callable[[], str]) -> str:
    """A value made once and kept in a file that only we may read. Of processes that start together one wins, whole."""
    try:
        if not path.exists():
            _publish(path, make())
        kept = path.read_text().strip()
    except OSError as error:
        raise Misconfigured(f"Cannot read or make {path}: {error.strerror}.") from error
    if not kept:
        raise Misconfigured(f"{path} is empty. Put the key back that it had, or remove the file to make a new one.")
    return kept


def _publish(path: Path, content: str) -> None:
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(content + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        pass  # another process was first: its value counts
    finally:
        draft.unlink()


def has_own_database(env: Env = os.environ) -> bool:
    """Whether DATABASE_URL names a server, so that the embedded one is not needed."""
    return bool(env.get("DATABASE_URL", "").strip())


def database(data: Path, env: Env = os.environ) -> dict[str, Any]:
    """Django's settings of the one database."""
    return _from_url(env["DATABASE_URL"].strip()) if has_own_database(env) else _embedded(data)


def _common(**values: Any) -> dict[str, Any]:
    options = {"connect_timeout": _CONNECT_TIMEOUT, "application_name": "opscenter", **values.pop("OPTIONS", {})}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": options,
        **values,
    }


def _embedded(data: Path) -> dict[str, Any]:
    return _common(NAME=_DATABASE_NAME, USER=_DATABASE_NAME, HOST=embedded_record(data).get("socket", str(data)))


def embedded_record(data: Path) -> dict[str, str]:
    """Where the embedded server was placed: ``home`` and ``socket``; empty before its first start."""
    try:
        record = json.loads((data / EMBEDDED_RECORD).read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise Misconfigured(f"Cannot read {data / EMBEDDED_RECORD}: {error}.") from error
    return {str(name): str(value) for name, value in record.items()}


def _from_url(url: str) -> dict[str, Any]:
    """postgres://user:password@host:port/name?sslmode=..., every part percent-decoded.

    A host that is a folder (``%2Frun%2Fpostgresql``, or ``?host=/run/postgresql``) is a unix socket.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Misconfigured(f"DATABASE_URL cannot be read: {error}.") from error
    if parts.scheme not in ("postgres", "postgresql"):
        raise Misconfigured("DATABASE_URL must start with postgres:// (PostgreSQL 15 or newer).")
    name = unquote(parts.path.lstrip("/"))
    if not name:
        raise Misconfigured("DATABASE_URL names no database: postgres://user:password@host:port/NAME.")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    _, _, location = parts.netloc.rpartition("@")
    host = unquote(_host(location))
    return _common(
        NAME=name,
        USER=unquote(parts.username or ""),
        PASSWORD=unquote(parts.password or ""),
        HOST=options.pop("host", host),
        PORT=options.pop("port", str(port or "")),
        OPTIONS=options,
    )


def mail(public_host: str, env: Env = os.environ) -> dict[str, Any]:
    """Django's settings of the mail server; without OPSCENTER_MAIL_URL no host, and no mail.

    ``smtp://user:password@host:port``, every part but the host percent-decoded; ``smtp+starttls://`` and ``smtps://`` for TLS.

    Args:
        public_host: whose name the sender bears where OPSCENTER_MAIL_FROM gives none.
    """
    url = env.get("OPSCENTER_MAIL_URL", "").strip()
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Misconfigured(f"OPSCENTER_MAIL_URL cannot be read: {error}.") from error
    if url and (parts.scheme not in _MAIL_PORTS or not parts.hostname or parts.path.strip("/") or parts.query):
        raise Misconfigured(
            "OPSCENTER_MAIL_URL must look like smtp+starttls://user:password@mail.example.com:587, or begin with smtp:// or smtps://."
        )
    sender = env.get("OPSCENTER_MAIL_FROM", "").strip() or f"Opscenter <opscenter@{public_host}>"
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", parseaddr(sender)[1]) or "\n" in sender:
        raise Misconfigured(
            f"OPSCENTER_MAIL_FROM must be an address, as Opscenter <opscenter@example.com>, not {sender!r}."
        )
    return {
        "EMAIL_HOST": parts.hostname or "",
        "EMAIL_PORT": port or _MAIL_PORTS.get(parts.scheme, 25),
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
        "EMAIL_USE_TLS": parts.scheme == "smtp+starttls",
        "EMAIL_USE_SSL": parts.scheme == "smtps",
        "EMAIL_TIMEOUT": _MAIL_TIMEOUT,
        "DEFAULT_FROM_EMAIL": sender,
    }


def _host(location: str) -> str:
    """The host of ``host:port``; unlike urlsplit's it keeps capital letters, which a socket's folder may have."""
    if location.startswith("["):
        return location[1:].partition("]")[0]
    return location.partition(":")[0]
