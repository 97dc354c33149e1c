"""The folders that runs work in: each is made and removed by a worker child, and swept when that child was killed.

The name tells whose folder it is: the child's number, when that process began (numbers come again, soon in a container
that is restarted), and the host, since containers may share the place.
"""

import functools
import os
import re
import shutil
import socket
import tempfile
from pathlib import Path

import structlog

logger = structlog.get_logger(__name__)
_HOST = socket.gethostname()
_NAME = re.compile(rf"opscenter-run-([0-9]+)-([0-9]+)-{re.escape(_HOST)}-[^-]+")


def make() -> Path:
    """A new, empty folder of this process."""
    return Path(tempfile.mkdtemp(prefix=_prefix(os.getpid())))


@functools.lru_cache(maxsize=1)
def _prefix(pid: int) -> str:
    """Of this process's folders. A forked one has another number, and so another prefix."""
    return f"opscenter-run-{pid}-{_began(pid)}-{_HOST}-"


def sweep() -> None:
    """Remove the folders of this host's processes that have ended."""
    for folder in Path(tempfile.gettempdir()).glob("opscenter-run-*"):
        name = _NAME.fullmatch(folder.name)
        if name is not None and _began(int(name[1])) != int(name[2]):
            shutil.rmtree(folder, ignore_errors=True)
            if not folder.exists():
                logger.info("run.folder_removed", folder=str(folder))


def _began(pid: int) -> int | None:
    """When a process began, in clock ticks since the host started: unlike a time of day, nobody sets it. None: it is gone."""
    try:
        # behind the command's name, which may hold anything; the 22nd field of proc(5), the third is the first one there
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state == "Z" else int(fields[18])
