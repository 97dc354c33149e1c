"""All of the product on one machine: the embedded database, and one each of web, scheduler, worker and courier.

One thread does everything: the kernel ends children and the database when the thread that started them ends.
"""

import http.client
import io
import json
import logging.config
import os
import selectors
import signal
import sys
import time
from collections.abc import Callable
from threading import Event
from types import FrameType
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.urls import get_resolver

from opscenter.base import config, logs
from opscenter.base.locks import session_lock
from opscenter.base.procs import adopt_orphans, descendants, kill_tree, reap_adopted, wait_gone
from opscenter.processes import assets, courier, guard, scheduler, web, worker
from opscenter.processes.children import Child
from opscenter.processes.demo import record
from opscenter.processes.embedded import Embedded
from opscenter.processes.placement import EmbeddedError, place
from opscenter.processes.running import check_port, run_until_stopped

PARTS: dict[str, Callable[[], None]] = {
    "web": web.run,
    "scheduler": lambda: run_until_stopped(scheduler.run),
    "worker": lambda: run_until_stopped(
        lambda stop: worker.run(None, settings.WORKERS, stop, settings.STOP_GRACE),
        settings.STOP_GRACE + worker.AFTER_GRACE,
    ),
    "courier": lambda: run_until_stopped(courier.run),
}
_AFTER_GRACE = 3.0
"""Seconds that children have to stop after the grace time of running nodes; with its default, killing and the database's
end this stays below the promised ten."""
_LOOK_EVERY = 0.25
_REAP_EVERY = 5.0
_DATABASE_BACK_OFF = 2.0
_COMPLAIN_AFTER = 60.0
_GUARD_BACK_OFF = 60.0


class Up:
    """Starts everything, keeps it running, stops everything.

    Args:
        with_demo: make the demo if the database is empty.
    """

    def __init__(self, *, with_demo: bool = True) -> None:
        self._with_demo = with_demo
        self._stop = Event()
        self._hurry = Event()
        self._database: Embedded | None = None
        self._database_again_at = 0.0
        self._children: list[Child] = []
        self._selector = selectors.DefaultSelector()
        self._is_announced = self._has_guard = False
        self._asked = self._complain_at = 0.0
        self._reaped = time.monotonic()
        self._is_json = os.environ.get("OPSCENTER_LOG_FORMAT") == "json"

    def run(self) -> None:
        """Run until SIGTERM or SIGINT.

        Raises:
            CommandError: it cannot start; one sentence says why.
        """
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        os.environ.setdefault("OPSCENTER_LOG_FORMAT", "console")
        settings.LOGGING = logs.configure()
        logging.config.dictConfig(settings.LOGGING)
        adopt_orphans()
        check_port(settings.BIND, settings.PORT)
        try:
            self._prepare()
            if not self._stop.is_set():
                self._start_children()
            while not self._stop.is_set():
                self._look()
        except EmbeddedError as error:
            raise CommandError(str(error)) from error
        except Error as error:
            raise CommandError(f"Cannot use the database: {str(error).strip()}") from error
        except OSError as error:
            raise CommandError(f"{error.strerror}: {error.filename or settings.DATA_DIR}") from error
        finally:
            self._stop_all()

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    # before anything runs

    def _prepare(self) -> None:
        if not config.has_own_database():
            self._database = Embedded(place(settings.DATA_DIR, settings.POSTGRES_USER))
            self._database.start()
            settings.DATABASES["default"]["HOST"] = str(self._database.place.socket)
        _migrate()
        assets.prepare()
        get_resolver().url_patterns  # noqa: B018  # loaded here, shared by all that are forked
        wants_demo = self._with_demo and not apps.get_model(settings.AUTH_USER_MODEL).objects.exists()
        connection.close()
        if wants_demo:
            self._make_demo()

    def _make_demo(self) -> None:
        """Something to see on an empty database; without it the product runs all the same."""
        self._say("up", "The database is empty: making the demo.")
        demo = Child("demo", _make_demo, self._let_go)
        self._children = [demo]
        self._start(demo)
        while demo.ended() is None and not self._stop.is_set():
            self._look_at_output()
        if demo.ended():
            self._say("up", "The demo could not be made; Opscenter goes on without it.")
        if not self._stop.is_set():
            self._print(demo)
            self._release(demo)

    # while it runs

    def _start_children(self) -> None:
        self._children = [Child(kind, body, self._let_go) for kind, body in PARTS.items()]
        self._has_guard = self._prepare_guard()
        for child in self._children:
            self._start(child)
        self._complain_at = time.monotonic() + _COMPLAIN_AFTER

    def _prepare_guard(self) -> bool:
        """Whether there is a demo with a guard; if so, its files are there and whoever is started now may reach it."""
        try:
            found = (record.read() or {}).get("extension")
            if found:
                guard.write_files(found)
                guard.allow(found["webhook_url"])
            return bool(found)
        except (OSError, LookupError, TypeError, ValueError) as error:
            self._say("up", f"The demo's guard is not started: {record.path()}: {error!r}")
            return False
        finally:
            connection.close()

    def _start_guard(self) -> None:
        """Not before the product is ready: it has a big SDK to load, and nobody waits for it yet."""
        child = Child("guard", guard.run, self._let_go, longest_back_off=_GUARD_BACK_OFF)
        self._children.append(child)
        self._start(child)

    def _let_go(self) -> None:
        """In a child: close what is ours alone, above all the lock on the database, which must end with us."""
        self._selector.close()
        for child in self._children:
            child.close_output()
        if self._database is not None:
            self._database.disown()

    def _start(self, child: Child) -> None:
        child.start()
        assert child.descriptor is not None
        self._selector.register(child.descriptor, selectors.EVENT_READ, child)

    def _look(self) -> None:
        self._look_at_output()
        for child in self._children:
            self._tend(child)
        if not self._is_announced and time.monotonic() > self._asked + _LOOK_EVERY:
            self._announce()
        if time.monotonic() - self._reaped > _REAP_EVERY:
            self._reaped = time.monotonic()
            reap_adopted(self._own_pids())

    def _look_at_output(self) -> None:
        self._tend_database()
        for key, _ in self._selector.select(_LOOK_EVERY):
            self._print(key.data)

    def _tend(self, child: Child) -> None:
        if (code := child.ended()) is not None:
            self._print(child)
            self._release(child)
            if not self._stop.is_set():
                self._say("up", f"{child.kind} ended ({_how(code)}); it is started again.")
        elif child.due_again():
            self._start(child)

    def _release(self, child: Child) -> None:
        self._unwatch(child)
        child.forget()

    def _unwatch(self, child: Child) -> None:
        if child.descriptor is not None and child.descriptor in self._selector.get_map():
            self._selector.unregister(child.descriptor)

    def _tend_database(self) -> None:
        if self._database is None or time.monotonic() < self._database_again_at:
            return
        try:
            if self._database.tend():
                self._say("up", "The database had died; it is back.")
        except (EmbeddedError, OSError) as error:
            self._database_again_at = time.monotonic() + _DATABASE_BACK_OFF
            self._say("up", f"{error} It is tried again.")

    def _own_pids(self) -> list[int]:
        pids = [child.pid for child in self._children] + [self._database.pid if self._database else None]
        return [pid for pid in pids if pid is not None]

    # what the user sees

    def _print(self, child: Child) -> None:
        lines = child.lines()
        for line in lines:
            self._say(child.kind, line)
        if not lines and not child.is_running():
            self._unwatch(child)

    def _say(self, kind: str, line: str) -> None:
        if self._is_json and kind == "up":
            line = json.dumps({"event": line, "logger": "up"}, ensure_ascii=False)
        try:
            print(line if self._is_json else f"{kind:<9} | {line}", flush=True)
        except BrokenPipeError:  # nobody reads any longer: go on without telling
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def _announce(self) -> None:
        self._asked = time.monotonic()
        answer = _readiness()
        if answer is not None and not answer["missing"]:
            self._is_announced = True
            self._say("up", f"Opscenter is ready: {settings.PUBLIC_URL}/  (Ctrl-C stops it)")
            if record.path().exists():
                self._say("up", "The demo's accounts and passwords: .venv/bin/python manage.py demo")
            if self._has_guard:
                self._start_guard()
        elif time.monotonic() > self._complain_at:
            self._complain_at = time.monotonic() + _COMPLAIN_AFTER
            missing = "web" if answer is None else ", ".join(answer["missing"])
            self._say("up", f"Not ready yet. Missing: {missing}.")

    # the end

    def _stop_all(self) -> None:
        """Ask the children, then kill whatever is left of their trees, then stop the database."""
        self._stop.set()
        if self._children:
            self._say("up", "Stopping.")
        for child in self._children:
            child.ask_to_stop()
        give_up = time.monotonic() + settings.STOP_GRACE + _AFTER_GRACE
        while self._is_anyone_left() and time.monotonic() < give_up and not self._hurry.is_set():
            for key, _ in self._selector.select(0.05):
                self._print(key.data)
            self._tend_database()
        for child in self._children:
            self._print(child)
        spared = [self._database.pid] if self._database and self._database.pid else []
        kill_tree(without=spared)
        for child in self._children:
            self._release(child)
        connection.close()
        if self._database is not None:
            self._database.stop(patience=1.0)
        self._selector.close()

    def _is_anyone_left(self) -> bool:
        if any(child.is_running() for child in self._children):
            return True
        spared = [self._database.pid] if self._database and self._database.pid else []
        return bool(wait_gone(descendants(without=spared), 0))


def _migrate() -> None:
    """Bring the database up to date; others that start at the same time wait. Fast when there is nothing to do."""
    connection.ensure_connection()
    if _has_pending_migrations():
        with session_lock("migrate"):
            call_command("migrate", interactive=False, verbosity=0)


def _has_pending_migrations() -> bool:
    executor = MigrationExecutor(connection)
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def _make_demo() -> None:
    call_command("demo", stdout=io.StringIO())  # it prints secrets


def _readiness() -> dict[str, Any] | None:
    """What /readyz says; None while nobody answers."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.BIND, settings.BIND)  # noqa: S104
    asked = http.client.HTTPConnection(host, settings.PORT, timeout=1.0)
    try:
        asked.request("GET", "/readyz")
        answer: dict[str, Any] = json.loads(asked.getresponse().read())
        return answer if "missing" in answer else None
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        asked.close()


def _how(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
