"""The SQL runner on a real PostgreSQL and on SQLite files: what is executed, what the log says of it, how it ends."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.conf import settings
from django.db import connection
from psycopg import sql as psycopg_sql

from opscenter.engine.sql.target import Own, Target
from opscenter.engine.stopping import ABANDON_SIGNAL
from opscenter.production.models import Attempt, DataSource, LogChunk, TaskInstance
from opscenter.production.rules.states import State
from opscenter.production.selectors import log_text
from tests.engine.graphs import Scene
from tests.engine.runs import execute, sql, sql_output
from tests.engine.warehouse import Warehouse, warehouse

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def house(django_db_setup: None) -> Iterator[Warehouse]:
    with warehouse() as made:
        yield made


@pytest.fixture
def scene(house: Warehouse) -> Scene:
    """With the data source ``warehouse``, whose database is empty."""
    with house.admin() as admin:
        admin.execute("DROP SCHEMA IF EXISTS public CASCADE; DROP SCHEMA IF EXISTS s CASCADE; CREATE SCHEMA public")
        admin.execute(psycopg_sql.SQL("ALTER SCHEMA public OWNER TO {}").format(psycopg_sql.Identifier(house.role)))
    scene = Scene()
    house.source(scene.workspace, scene.user)
    return scene


# what is executed, and what the log says


def test_statements_are_executed_one_by_one_with_counts_and_a_preview(scene: Scene) -> None:
    script = """-- orders
CREATE TABLE orders (id int, day text);
INSERT INTO orders SELECT n, '${day}' FROM generate_series(1, 25) n;
UPDATE orders SET day = NULL WHERE id > 24;
SELECT * FROM orders ORDER BY id DESC;
SELECT id FROM orders WHERE false;
"""
    rows = [f"{n:2} | {'    NULL' if n == 25 else '20261120'}" for n in range(25, 5, -1)]
    assert sql_output(scene, script, parameters="day=${yyyymmdd}").splitlines() == [
        "[opscenter] Statement 1 of 5, line 2: CREATE TABLE orders (id int, day text)",
        "[opscenter] CREATE TABLE, T",
        "[opscenter] Statement 2 of 5, line 3: INSERT INTO orders SELECT n, '20261120' FROM generate_series(1, 25) n",
        "[opscenter] INSERT, 25 rows, T",
        "[opscenter] Statement 3 of 5, line 4: UPDATE orders SET day = NULL WHERE id > 24",
        "[opscenter] UPDATE, 1 row, T",
        "[opscenter] Statement 4 of 5, line 5: SELECT * FROM orders ORDER BY id DESC",
        "id | day",
        "---+---------",
        *rows,
        "[opscenter] SELECT, 25 rows (the first 20 are shown), T",
        "[opscenter] Statement 5 of 5, line 6: SELECT id FROM orders WHERE false",
        "[opscenter] SELECT, 0 rows, T",
    ]


def test_the_log_begins_with_where_it_runs_and_no_secret(scene: Scene, house: Warehouse) -> None:
    attempt = execute(sql(scene, "SELECT 1"))
    first, second = log_text(attempt).splitlines()[:2]
    assert first == f"[opscenter] Data source warehouse: {DataSource.objects.get().place}"
    assert second.startswith("[opscenter] PostgreSQL 1")
    assert house.password not in log_text(attempt)


@pytest.mark.parametrize("script", ["", "-- nothing\n;"])
def test_a_script_without_a_statement_says_so(scene: Scene, script: str) -> None:
    assert sql_output(scene, script) == "[opscenter] There is no statement in the script."


def test_each_statement_is_a_transaction_unless_the_script_says_begin(scene: Scene, house: Warehouse) -> None:
    attempt = execute(sql(scene, "CREATE TABLE t (n int); INSERT INTO t VALUES (1); SELECT nothing"))
    assert attempt.state == Attempt.State.FAILURE
    attempt = execute(sql(scene, "BEGIN; INSERT INTO t VALUES (2); INSERT INTO t VALUES (3); SELECT nothing; COMMIT"))
    assert attempt.state == Attempt.State.FAILURE
    sql_output(scene, "BEGIN; INSERT INTO t VALUES (4); COMMIT; START TRANSACTION; DELETE FROM t; ROLLBACK")
    sql_output(scene, "VACUUM t")  # which is refused inside of a transaction
    with house.admin() as admin:
        assert admin.execute("SELECT n FROM t ORDER BY n").fetchall() == [(1,), (4,)]


def test_a_transaction_left_open_is_a_failure_not_a_silent_rollback(scene: Scene, house: Warehouse) -> None:
    instance = sql(scene, "CREATE TABLE t (n int);\n\nBEGIN;\nINSERT INTO t VALUES (1);", rerun_times=3)
    attempt = execute(instance)
    assert attempt.reason == {"code": "attempt.sql_open_transaction", "params": {"name": "warehouse", "line": 3}}
    assert instance.due_at is None
    with house.admin() as admin:
        assert admin.execute("SELECT n FROM t").fetchall() == []


def test_functions_with_semicolons_notices_and_percent_signs(scene: Scene) -> None:
    script = """
CREATE FUNCTION twice(n int) RETURNS int AS $$ BEGIN RAISE NOTICE 'at %; so', n; RETURN 2 * n; END; $$ LANGUAGE plpgsql;
CREATE FUNCTION plus(n int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT n; SELECT n + 1; END;
SELECT twice(plus(2)), 'a%b%%c' LIKE 'a%', ':x', '%s' AS "%(y)s";
"""
    assert sql_output(scene, script).splitlines()[-5:] == [
        "NOTICE: at 3; so",
        "twice | ?column? | ?column? | %(y)s",
        "------+----------+----------+------",
        "    6 | t        | :x       | %s",
        "[opscenter] SELECT, 1 row, T",
    ]


def test_a_line_end_in_a_literal_stays_as_it_is(scene: Scene) -> None:
    assert "\n     4\n" in sql_output(scene, "SELECT\r\n length('a\r\nb');\r\n")


@pytest.mark.django_db(transaction=True)
def test_millions_of_rows_are_counted_and_not_kept(scene: Scene) -> None:
    peak: list[int] = []

    def watch(child: psutil.Process) -> None:
        while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
            peak.append(child.memory_info().rss)
            time.sleep(0.05)

    instance = sql(scene, "SELECT n, repeat('x', 100) FROM generate_series(1, 3000000) n")
    attempt = beside(instance, watch)
    assert "SELECT, 3000000 rows (the first 20 are shown)" in log_text(attempt)
    assert max(peak) < 150 * 1024 * 1024


FAILURES = [
    ("SELECT 1;\nSELECT\n  nothing", 2, 3, 'ERROR: column "nothing" does not exist (42703)', ["LINE 3:   nothing", "          ^"]),
    ("SELEC 1", 1, 1, 'ERROR: syntax error at or near "SELEC" (42601)', ["LINE 1: SELEC 1", "        ^"]),
    ("\n\n/* a\n*/ DO $$ BEGIN RAISE EXCEPTION 'no' USING HINT = 'so', DETAIL = 'why'; END $$", 1, 4,
     "ERROR: no (P0001)", ["DETAIL: why", "HINT: so"]),
    ("SELECT 1; COPY pg_class FROM STDIN", 2, 1, "ERROR: permission denied for table pg_class (42501)", []),
    ("CREATE TABLE t (n int); COPY t FROM STDIN;\n1\n\\.", 2, 1,
     "COPY from STDIN and to STDOUT has nobody at its other end in a SQL node.", []),
    ("COPY (SELECT 1) TO STDOUT", 1, 1, "COPY from STDIN and to STDOUT has nobody at its other end in a SQL node.", []),
    ("SELECT 'open;\n", 1, 1, "ERROR: unterminated quoted string at or near \"'open;\" (42601)", []),
    ("\\copy t from x", 1, 1, 'ERROR: syntax error at or near "\\" (42601)', []),
    ("SELECT pg_terminate_backend(pg_backend_pid())", 1, 1,
     "FATAL: terminating connection due to administrator command (57P01)", []),
]  # fmt: skip


@pytest.mark.parametrize(("script", "number", "line", "error", "told"), FAILURES, ids=[row[0] for row in FAILURES])
def test_an_error_names_its_statement_and_line(
    scene: Scene, script: str, number: int, line: int, error: str, told: list[str]
) -> None:
    instance = sql(scene, script)
    attempt = execute(instance)
    assert attempt.reason == {
        "code": "attempt.sql_statement",
        "params": {"name": "warehouse", "number": number, "line": line, "error": error},
    }
    assert (attempt.state, attempt.exit_code, instance.state) == (Attempt.State.FAILURE, 1, State.FAILURE)
    text = log_text(attempt)
    assert f"[opscenter] Statement {number} failed in line {line} after " in text
    lines = text.splitlines()
    assert [line for line in lines if line in {error, *told}] == [error, *told]


def test_what_comes_after_an_error_is_not_executed(scene: Scene) -> None:
    text = log_text(execute(sql(scene, "SELECT 1; SELECT nothing; CREATE TABLE t (n int)")))
    assert "Statement 2 of 3" in text and "Statement 3 of 3" not in text


# where it runs


def test_a_data_source_that_is_missing_is_told_before_anything_runs(scene: Scene, house: Warehouse) -> None:
    house.source(scene.workspace, scene.user, "elsewhere", environment="Dev")
    other = Scene("other")
    house.source(other.workspace, other.user, "theirs")
    for name in ("elsewhere", "theirs", ""):
        attempt = execute(sql(scene, "SELECT 1", data_source=name, rerun_times=2))
        assert attempt.reason == {"code": "attempt.data_source_missing", "params": {"name": name}}


def test_a_server_that_does_not_answer_is_told_in_its_words(scene: Scene, house: Warehouse) -> None:
    house.source(scene.workspace, scene.user, "gone", host="127.0.0.1", port=1)
    instance = sql(scene, "SELECT 1", data_source="gone", rerun_times=1)
    attempt = execute(instance)
    assert attempt.reason is not None and attempt.reason["code"] == "attempt.sql_connect"
    assert "Connection refused" in attempt.reason["params"]["error"]
    assert "sqlalche.me" not in attempt.reason["params"]["error"]
    assert instance.due_at is not None  # it may answer later


def test_opscenters_own_database_is_refused(scene: Scene, house: Warehouse) -> None:
    own = settings.DATABASES["default"]
    for name, changed in {
        "itself": {"database": connection.settings_dict["NAME"], "username": own["USER"]},
        "as another": {"database": connection.settings_dict["NAME"]},
        "its server's owner": {"database": "postgres", "username": own["USER"]},
    }.items():
        house.source(scene.workspace, scene.user, name, **changed)
        instance = sql(scene, "CREATE TABLE trespass (n int)", data_source=name, rerun_times=1)
        attempt = execute(instance)
        assert attempt.reason == {"code": "attempt.data_source_own", "params": {"name": name}}, name
        assert instance.due_at is None


def test_a_role_that_may_reach_the_servers_files_is_refused(scene: Scene, house: Warehouse) -> None:
    with house.admin() as admin:
        role = psycopg_sql.Identifier(house.role)
        admin.execute(psycopg_sql.SQL("GRANT pg_read_server_files TO {}").format(role))
        try:
            attempt = execute(sql(scene, "SELECT 1"))
        finally:
            admin.execute(psycopg_sql.SQL("REVOKE pg_read_server_files FROM {}").format(role))
    assert attempt.reason == {"code": "attempt.data_source_own", "params": {"name": "warehouse"}}


# stopping


def beside(instance: TaskInstance, act: Callable[[psutil.Process], None]) -> Attempt:
    """Run the instance, and act on its program meanwhile, once a statement runs."""
    failures: list[BaseException] = []

    def watch() -> None:
        try:
            give_up = time.monotonic() + 15
            child = None
            while child is None and time.monotonic() < give_up:
                time.sleep(0.02)
                children = psutil.Process().children(recursive=True)
                child = next((one for one in children if "opscenter.engine.sql.child" in " ".join(one.cmdline())), None)
            while not LogChunk.objects.filter(text__contains="Statement 1").exists() and time.monotonic() < give_up:
                time.sleep(0.02)
            assert child is not None
            act(child)
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    watcher = threading.Thread(target=watch)
    watcher.start()
    attempt = execute(instance)
    watcher.join()
    assert not failures, failures
    return attempt


def busy(house: Warehouse) -> int:
    """How many statements the database executes now, but for this one."""
    with house.admin() as admin:
        row = admin.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'"
            " AND pid != pg_backend_pid() AND backend_type = 'client backend'"
        ).fetchone()
    return row[0] if row else 0


def is_idle(house: Warehouse, within: float) -> bool:
    give_up = time.monotonic() + within
    while busy(house):
        if time.monotonic() > give_up:
            return False
        time.sleep(0.05)
    return True


def test_a_timeout_cancels_the_statement_on_the_server(scene: Scene, house: Warehouse) -> None:
    instance = sql(scene, "SELECT 1; SELECT pg_sleep(300)", timeout=2, rerun_times=3)
    began = time.monotonic()
    attempt = execute(instance)
    assert 2 <= time.monotonic() - began < 4
    assert attempt.reason == {"code": "attempt.timeout", "params": {"seconds": 2}}
    assert busy(house) == 0
    assert log_text(attempt).splitlines()[-1] == "[opscenter] Stopped in statement 2."
    assert instance.due_at is None


def test_what_is_swallowed_by_a_function_is_killed_all_the_same(scene: Scene, house: Warehouse) -> None:
    """A function may catch the cancellation; the server still sees that its client is gone."""
    script = """DO $$ BEGIN LOOP BEGIN PERFORM pg_sleep(300); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$"""
    instance = sql(scene, script, timeout=2)
    began = time.monotonic()
    attempt = execute(instance)
    assert time.monotonic() - began < 6
    assert attempt.reason == {"code": "attempt.timeout", "params": {"seconds": 2}}
    assert is_idle(house, 3)


@pytest.mark.django_db(transaction=True)
def test_abandoned_it_is_cancelled_too(scene: Scene, house: Warehouse) -> None:
    attempt = beside(sql(scene, "SELECT pg_sleep(300)"), lambda child: os.kill(os.getpid(), ABANDON_SIGNAL))
    assert attempt.state == Attempt.State.LOST
    assert busy(house) == 0


@pytest.mark.django_db(transaction=True)
def test_a_killed_program_leaves_no_statement_behind(scene: Scene, house: Warehouse) -> None:
    attempt = beside(sql(scene, "SELECT pg_sleep(300)"), lambda child: child.send_signal(signal.SIGKILL))
    assert attempt.reason == {"code": "attempt.signal", "params": {"signal": "SIGKILL"}}
    assert is_idle(house, 2)


# secrets


@pytest.mark.django_db(transaction=True)
def test_the_password_is_nowhere_but_in_the_pipe(
    scene: Scene, house: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPSCENTER_SECRET_KEY", "not-for-children")
    seen: dict[str, Any] = {}

    def look(child: psutil.Process) -> None:
        seen["command"] = " ".join(child.cmdline())
        seen["environment"] = child.environ()
        seen["files"] = {path.name: path.read_text() for path in Path(child.cwd()).rglob("*") if path.is_file()}
        child.send_signal(signal.SIGKILL)

    attempt = beside(sql(scene, "SELECT pg_sleep(300)"), look)
    assert set(seen["files"]) == {".opscenter-node"}
    assert house.password not in str(seen) + log_text(attempt) + str(attempt.reason)
    assert "not-for-children" not in str(seen)
    assert "DATABASE_URL" not in seen["environment"] and set(seen["environment"]) == {
        "PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "TZ", "SHELL", "USER", "PYTHONUNBUFFERED"
    }  # fmt: skip


def test_a_program_whose_gate_is_never_opened_does_nothing(tmp_path: Path) -> None:
    from opscenter.engine.sql import child

    reader, writer = os.pipe()
    os.close(writer)
    assert child.main([str(reader), str(tmp_path / "report")]) == child.NOT_TOLD


def test_a_target_shows_no_password_and_survives_the_pipe() -> None:
    target = Target("postgresql", "db", 5433, "x", "me", 'a"b\n数', own=Own("7", 5, "opscenter"))
    assert "a" + '"b' not in repr(target)
    assert Target.from_line(target.as_line()) == target
    assert target.as_line().count(b"\n") == 1
