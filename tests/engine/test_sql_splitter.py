"""Scripts taken apart: where a statement ends, and which line it begins in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opscenter.engine.sql.preview import table
from opscenter.engine.sql.splitter import statements

POSTGRESQL: list[tuple[str, list[str]]] = [
    ("", []),
    (" ;; \n; ", []),
    ("-- a; b", []),
    ("/* a; /* b; */ c; */ ;", []),
    ("select 1", ["select 1"]),
    ("select 1;select 2;", ["select 1", "select 2"]),
    ("select 1 ; ;\n select 2 ", ["select 1", "select 2"]),
    ("select ';' ; select 2", ["select ';'", "select 2"]),
    ("select 'a'';b'; select 2", ["select 'a'';b'", "select 2"]),
    ("select 'a\\'; select 'b;'", ["select 'a\\'", "select 'b;'"]),
    (r"select E'a\';b'; select 2", [r"select E'a\';b'", "select 2"]),
    (r"select e'a''\\'; select 2", [r"select e'a''\\'", "select 2"]),
    ("select E'a'\n'\\';b'; select 2", ["select E'a'\n'\\';b'", "select 2"]),
    (r"select note'a\'; select 2", [r"select note'a\'", "select 2"]),
    (r"select U&'a\003B;'; select 2", [r"select U&'a\003B;'", "select 2"]),
    ("select 'open; select 2", ["select 'open; select 2"]),
    ('select ";", "a"";b"; select 2', ['select ";", "a"";b"', "select 2"]),
    ("select $$;$$; select 2", ["select $$;$$", "select 2"]),
    ("select $x$ ; $$ ; $y$ ; $x$; select 2", ["select $x$ ; $$ ; $y$ ; $x$", "select 2"]),
    ("select $ü$;$ü$; select 2", ["select $ü$;$ü$", "select 2"]),
    ("select $1$;$1$", ["select $1$", "$1$"]),
    ("select a$b$;c$b$", ["select a$b$", "c$b$"]),
    ("select $x$ open; select 2", ["select $x$ open; select 2"]),
    ("select 1 -- ;\n + 1; select 2", ["select 1 -- ;\n + 1", "select 2"]),
    ("select 1 /* ; */ + 1; select 2", ["select 1 /* ; */ + 1", "select 2"]),
    ("select 1 --1;\n; select 2", ["select 1 --1;", "select 2"]),
    ("select 2*/*;*/3; select 2", ["select 2*/*;*/3", "select 2"]),
    ("/*+ SeqScan(a) */ select 1; -- end", ["/*+ SeqScan(a) */ select 1"]),
    ("create rule r as on insert to t do also (delete from a; delete from b); select 2",
     ["create rule r as on insert to t do also (delete from a; delete from b)", "select 2"]),
    ("begin; insert into t values (1); commit; select 2",
     ["begin", "insert into t values (1)", "commit", "select 2"]),
    ("create function f() returns int as $$ begin return 1; end $$ language plpgsql; select 2",
     ["create function f() returns int as $$ begin return 1; end $$ language plpgsql", "select 2"]),
    ("CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END; select 3",
     ["CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END", "select 3"]),
    ("create table begin_ (begin int); select case when true then 1 end; select 2",
     ["create table begin_ (begin int)", "select case when true then 1 end", "select 2"]),
    ("select ')'; select ')'", ["select ')'", "select ')'"]),
    ("select 1); select 2", ["select 1)", "select 2"]),
    ("do $body$ begin perform 1; end $body$;", ["do $body$ begin perform 1; end $body$"]),
    ("select array[';'] || '{;}'; select 2", ["select array[';'] || '{;}'", "select 2"]),
    ("select 1\r\n;\r\nselect 2\r\n", ["select 1", "select 2"]),
]  # fmt: skip
SQLITE: list[tuple[str, list[str]]] = [
    ("", []),
    ("; -- a;\n/* b; */", []),
    ("select 1; select 2", ["select 1", "select 2"]),
    ("select 'a'';b', \"c;d\", `e;f`, [g;h]; select 2", ["select 'a'';b', \"c;d\", `e;f`, [g;h]", "select 2"]),
    ("select 'a\\'; select 2", ["select 'a\\'", "select 2"]),
    ("select $x$; $x$", ["select $x$", "$x$"]),
    ("/* a /* b */ select 1; select 2", ["/* a /* b */ select 1", "select 2"]),
    ("create trigger t after insert on a begin update b set x = 1; delete from c; end; select 2",
     ["create trigger t after insert on a begin update b set x = 1; delete from c; end", "select 2"]),
    ("create temp trigger t delete on a begin select case when 1 then 2 end; end; select 2",
     ["create temp trigger t delete on a begin select case when 1 then 2 end; end", "select 2"]),
    ("begin; insert into t values (1); end; select 2", ["begin", "insert into t values (1)", "end", "select 2"]),
    ("select 'open; select 2", ["select 'open; select 2"]),
]  # fmt: skip


@pytest.mark.parametrize(("script", "texts"), POSTGRESQL, ids=[row[0] for row in POSTGRESQL])
def test_postgresql(script: str, texts: list[str]) -> None:
    assert [statement.text for statement in statements(script, "postgresql")] == texts


@pytest.mark.parametrize(("script", "texts"), SQLITE, ids=[row[0] for row in SQLITE])
def test_sqlite(script: str, texts: list[str]) -> None:
    assert [statement.text for statement in statements(script, "sqlite")] == texts


SCRIPT = """-- the daily report

select 1;  select 2

;
/* two
lines */ select
  nothing;
-- end"""


@pytest.mark.parametrize("database", ["postgresql", "sqlite"])
def test_lines_are_those_of_the_script(database: str) -> None:
    found = statements(SCRIPT, database)
    assert [(one.number, one.line) for one in found] == [(1, 3), (2, 3), (3, 7)]
    first, _second, third = found
    assert first.text[first.head :] == "select 1"
    assert third.text[third.head :] == "select\n  nothing"
    assert [third.line_of(third.text.index(word)) for word in ("two", "select", "nothing")] == [6, 7, 8]


PIECES = [
    "a",
    " ",
    "\n",
    ";",
    "'",
    '"',
    "$",
    "$$",
    "$x$",
    "--",
    "/*",
    "*/",
    "(",
    ")",
    "\\",
    "E'",
    "begin",
    "end",
    "`",
    "[",
]


@pytest.mark.parametrize("database", ["postgresql", "sqlite"])
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=30))
def test_any_script_is_taken_apart_in_its_order(database: str, pieces: list[str]) -> None:
    script = "".join(pieces)
    at = 0
    for statement in statements(script, database):
        assert statement.text.strip() == statement.text != ""
        at = script.index(statement.text, at)
        assert script.count("\n", 0, at) == statement.lines_before
        assert statement.line == script.count("\n", 0, at + statement.head) + 1
        at += len(statement.text)


@pytest.mark.parametrize(
    "script",
    ["/*" * 50_000, "$a" * 50_000, "$$" * 50_001, "(" * 100_000, "'" * 100_001, "E'\\" * 50_000, "begin;" * 9999],
)
def test_a_script_of_any_kind_is_read_in_a_moment(script: str) -> None:
    statements(script, "postgresql")
    statements(script, "sqlite")


def test_a_preview_is_a_table_of_text() -> None:
    rows: list[list[str | None]] = [["1", "数据", None], ["20", "a\nb\x1b[31m\x07", "-1.5e3"], [None, "x" * 100, "7"]]
    assert table(["id", "name", "sum"], rows).splitlines() == [
        "id   | name                                                         | sum",
        "-----+--------------------------------------------------------------+-------",
        "   1 | 数据                                                         |   NULL",
        "  20 | a↵b␛[31m␇                                                    | -1.5e3",
        "NULL | " + "x" * 59 + "… |      7",
    ]


def test_a_preview_shows_so_many_columns() -> None:
    lines = table([f"c{n}" for n in range(100)], [["x"] * 100]).splitlines()
    assert lines[0].count("|") == 39 and lines[-1] == "(60 more columns are not shown)"
