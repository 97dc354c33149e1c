"""The embedded PostgreSQL: a child process of whoever starts it, tended while it runs, stopped last.

It listens on a unix socket only, in a folder that only its user (and root) may enter.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import time
from functools import partial
from pathlib import Path
from typing import IO, Any

import psutil
import psycopg
from psycopg import sql

from opscenter.base.procs import die_with_parent, is_running, wait_gone
from opscenter.processes.placement import MAJOR, EmbeddedError, Place, binaries, hand_over

DATABASE = "opscenter"
_START_WITHIN = 60.0  # seconds; recovery after a crash counts
_LOG_LIMIT = 10 * 1024 * 1024
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "dynamic_shared_memory_type": "mmap",  # a container's /dev/shm is often too small
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "wal_compression": "on",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "5min",
    "autovacuum_naptime": "15s",
    "random_page_cost": "1.1",
    "effective_cache_size": "1GB",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_min_messages": "warning",
    "log_min_error_statement": "panic",  # statements may carry secrets
    "cluster_name": "opscenter",
}
_CARELESS = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "wal_level": "minimal"}
_CARELESS |= {"max_wal_senders": "0"}


class Embedded:
    """One embedded server. Start it from a thread that lives as long as it should: the server ends with that thread.

    Args:
        place: where it lives.
        durable: False for throw-away data only: nothing is forced to the disk.
    """

    def __init__(self, place: Place, *, durable: bool = True) -> None:
        self.place = place
        self._settings = _SETTINGS | ({} if durable else _CARELESS)
        self._durable = durable
        self._data = place.home / "data"
        self._log = place.home / "postgres.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[bytes] | None = None
        self._bin = Path()

    @property
    def pid(self) -> int | None:
        """The server's process, None when it was not started."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Make the database if it is missing, start the server, wait until it answers.

        Raises:
            EmbeddedError: it cannot start; says why.
        """
        self._take_lock()
        try:
            self._bin = binaries(self.place.home, self.place.user)
            self._check_version()
            if not self._data.exists():
                self._initdb()
            self._end_leftovers(wait=10.0)
            self._launch()
            self._wait_ready()
            self._ensure_database()
        except OSError as error:
            self.stop()
            raise EmbeddedError(f"Cannot prepare the database in {self.place.home}: {error.strerror}.") from error
        except EmbeddedError:
            self.stop()
            raise

    def tend(self) -> bool:
        """Call it often: starts the server again at once if it has died. True when it had to.

        Raises:
            EmbeddedError: it cannot be started again.
        """
        if self._process is None or self._process.poll() is None:
            return False
        self._end_leftovers(wait=2.0)
        self._launch()
        self._wait_ready()
        return True

    def stop(self, patience: float = 3.0) -> None:
        """Stop the server: connections are ended, what is committed is kept. Killed if it takes too long."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            for number in (signal.SIGINT, signal.SIGQUIT):  # fast shutdown, then immediate
                process.send_signal(number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(patience)
                    break
            else:
                process.kill()
                process.wait()
        if self._lock is not None:
            self._end_leftovers(wait=0.5)
            self._lock.close()
            self._lock = None

    def disown(self) -> None:
        """In a forked child: this is the parent's server, and the parent's lock."""
        self._process = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def connection(self, database: str = DATABASE, **options: Any) -> "psycopg.Connection[Any]":
        """A connection as the owner of everything."""
        return psycopg.connect(
            host=str(self.place.socket), user=DATABASE, dbname=database, autocommit=True, connect_timeout=5, **options
        )

    # starting

    def _take_lock(self) -> None:
        """One starter per home, known by a lock that the kernel takes back when we end."""
        path = self.place.home / "lock"
        lock = path.open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise EmbeddedError(
                f"The database in {self.place.home} is in use: Opscenter already runs with this data folder. "
                "Stop it, or set OPSCENTER_DATA to another folder."
            ) from None
        self._lock = lock

    def _check_version(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            found = (self._data / "PG_VERSION").read_text().strip()
            if found != str(MAJOR):
                raise EmbeddedError(
                    f"The database in {self.place.home} was made by PostgreSQL {found}; this is {MAJOR}. Dump it with "
                    "the Opscenter that made it, and restore it."
                )

    def _initdb(self) -> None:
        """Make the data in a draft folder, so that an interrupted start leaves nothing half done behind."""
        draft = self.place.home / "data.draft"
        if draft.exists():
            shutil.rmtree(draft)
        draft.mkdir(mode=0o700)
        hand_over(draft, self.place.user)
        command = [str(self._bin / "initdb"), "-D", str(draft), "-U", DATABASE, "--auth-local=trust", "--no-locale"]
        command += ["--auth-host=reject", "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        command += ["--no-instructions"] + ([] if self._durable else ["--no-sync"])
        done = subprocess.run(command, capture_output=True, text=True, check=False, **self._as_server_user())
        if done.returncode != 0:
            raise EmbeddedError(f"Cannot make the database in {self.place.home}: {_last_lines(done.stderr)}")
        draft.rename(self._data)

    def _launch(self) -> None:
        if self._log.exists() and self._log.stat().st_size > _LOG_LIMIT:
            self._log.replace(self._log.with_suffix(".log.old"))
        settings = {**self._settings, "unix_socket_directories": str(self.place.socket)}
        command = [str(self._bin / "postgres"), "-D", str(self._data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                # SIGINT: a fast shutdown, should we be killed. After the change of user, which would undo it
                preexec_fn=partial(die_with_parent, signal.SIGINT, os.getpid()),
                **self._as_server_user(),
            )

    def _as_server_user(self) -> dict[str, Any]:
        clean = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
        common: dict[str, Any] = {"env": clean, "cwd": "/", "umask": 0o077}
        user = self.place.user
        if not user.is_us:
            common |= {"user": user.uid, "group": user.gid, "extra_groups": []}
        return common

    def _wait_ready(self) -> None:
        assert self._process is not None
        give_up = time.monotonic() + _START_WITHIN
        problem = "it does not answer"
        while time.monotonic() < give_up:
            if self._process.poll() is not None:
                raise EmbeddedError(f"PostgreSQL did not start: {self._why()} (all of it: {self._log})")
            try:
                self.connection("postgres").close()
                return
            except psycopg.OperationalError as error:
                problem = str(error).strip()
            time.sleep(0.02)
        raise EmbeddedError(f"PostgreSQL did not start within {_START_WITHIN:.0f} s: {problem} (see {self._log})")

    def _why(self) -> str:
        with contextlib.suppress(OSError):
            return _last_lines(self._log.read_text(errors="replace")[-4000:])
        return "no log was written"

    def _ensure_database(self) -> None:
        with self.connection("postgres") as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
            if found is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))

    # what an earlier server left behind

    def _end_leftovers(self, wait: float) -> None:
        """End every process of an earlier server on this data, then remove its pid file.

        A server whose starter was killed is on its way down already. Backends whose server was killed see it when they
        next wait; until then they hold its shared memory, and no new server may start. The pid file goes because
        PostgreSQL takes any process of ours that has its number today (after a restart of a container) for a server.
        """
        left = self._servers()
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                if _is_postmaster(process, left):
                    process.send_signal(signal.SIGINT)
        for process in wait_gone(left, wait):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        if wait_gone(left, 5.0):
            raise EmbeddedError(f"Processes of an earlier PostgreSQL do not end: {[process.pid for process in left]}.")
        with contextlib.suppress(FileNotFoundError):
            (self._data / "postmaster.pid").unlink()

    def _servers(self) -> list[psutil.Process]:
        """The running processes of a PostgreSQL on our data: those that work in its folder."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                if process.cwd() == str(self._data) and process.name() == "postgres" and is_running(process):
                    found.append(process)
        return found


def _is_postmaster(process: psutil.Process, all_of_them: list[psutil.Process]) -> bool:
    return process.ppid() not in {other.pid for other in all_of_them}


def _last_lines(text: str, count: int = 3) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " / ".join(lines[-count:]) or "it said nothing"
