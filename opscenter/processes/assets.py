"""What is made from the tree before the product can run: compiled translations and collected static files.

Both are made when they are missing or older than what they are made from, never by hand.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polib
import structlog
from django.conf import settings
from django.core.management import call_command

logger = structlog.get_logger(__name__)


def prepare() -> None:
    """Make whatever is stale. Processes that start together wait for the one that does it."""
    with _one_at_a_time():
        compile_messages()
        collect_static()


def compile_messages() -> None:
    """A ``.mo`` beside each ``.po`` of the product that is newer than its own."""
    for folder in settings.LOCALE_PATHS:
        for source in Path(folder).glob("*/LC_MESSAGES/*.po"):
            target = source.with_suffix(".mo")
            if target.exists() and target.stat().st_mtime_ns >= source.stat().st_mtime_ns:
                continue
            draft = target.with_suffix(f".mo.{os.getpid()}")
            try:
                polib.pofile(str(source)).save_as_mofile(str(draft))
                draft.replace(target)
            except OSError as error:  # an installation that only root may write: English goes on
                logger.warning("messages.not_compiled", file=str(source), error=str(error))


def collect_static() -> None:
    """Copy the static files under names that carry their hash, if any of them changed."""
    mark = Path(settings.STATIC_ROOT) / ".made-from"
    wanted = _static_fingerprint()
    if mark.exists() and mark.read_text() == wanted:
        return
    call_command("collectstatic", interactive=False, verbosity=0)
    mark.write_text(wanted)


def _static_fingerprint() -> str:
    """Changes when a static file is added, removed or changed, or the way they are collected."""
    seen = hashlib.sha256(settings.STORAGES["staticfiles"]["BACKEND"].encode())
    for folder in settings.STATICFILES_DIRS:
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file():
                found = path.stat()
                seen.update(f"{path}\0{found.st_size}\0{found.st_mtime_ns}\n".encode())
    return seen.hexdigest()


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    with (settings.DATA_DIR / "assets.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
