"""Which node types the nodes of a document have here, and which data source."""

import json
from typing import Any

import pytest

from tests.workflows.test_reader import document, only, shell
from workflows import flowspec
from workflows.definitions import NodeDefinition


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ({"runtime": {"command": "PYTHON"}}, "python"),
        ({"runtime": {"command": "python3"}}, "python"),
        ({"runtime": {"commandTypeId": 1322}}, "python"),
        ({"language": "Python3"}, "python"),
        ({"language": "python3", "runtime": {"command": "PYODPS3", "commandTypeId": 1221}}, "PYODPS3"),
        ({"runtime": {"command": "bash"}}, "shell"),
        ({"language": "shell-script"}, "shell"),
    ],
)
def test_commands_numbers_and_languages_name_the_type(script: dict[str, Any], expected: str) -> None:
    assert only(document(shell(script=script))).type == expected


SOURCES = [
    # command, language, datasource: type, data source, warnings
    ("SQL", "", {"name": "warehouse"}, "sql", "warehouse", []),
    ("postgresql", "", {"name": "elsewhere", "type": "postgresql"}, "sql", "elsewhere", []),
    ("SQL", "", None, "sql", "", []),
    ("SQL", "", "{{warehouse}}", "sql", "warehouse", []),
    ("ODPS_SQL", "", {"name": "warehouse"}, "sql", "warehouse", []),
    ("HOLOGRES_SQL", "sql", {"name": "warehouse"}, "sql", "warehouse", []),
    ("", "odps-sql", {"name": "warehouse"}, "sql", "warehouse", []),
    ("ODPS_SQL", "", {"name": "odps_first"}, "ODPS_SQL", "", ["data_source_unknown"]),
    ("ODPS_SQL", "", None, "ODPS_SQL", "", ["type_not_run"]),
    ("ODPS_SQL", "", ["odd"], "ODPS_SQL", "", ["type_not_run"]),
    ("DI", "", {"name": "warehouse"}, "DI", "", ["type_not_run"]),
    ("PYODPS3", "python3", {"name": "warehouse"}, "PYODPS3", "", ["type_not_run"]),
    ("DIDE_SHELL", "", {"name": "warehouse"}, "shell", "", []),
    ("", "sql", {"name": "elsewhere"}, "UNKNOWN", "", ["type_missing"]),
]


@pytest.mark.parametrize(("command", "language", "datasource", "expected", "name", "told"), SOURCES)
def test_sql_is_run_on_data_sources_of_ours(
    command: str, language: str, datasource: Any, expected: str, name: str, told: list[str]
) -> None:
    runtime = {"command": command} if command else {}
    text = document(
        shell(script={"content": "select 1", "language": language, "runtime": runtime}, datasource=datasource)
    )
    read = flowspec.read(text, {"warehouse"})
    (node,) = read.nodes
    assert (node.type, node.data_source) == (expected, name)
    assert [problem.code.removeprefix("flowspec.") for problem in read.warnings] == told
    assert NodeDefinition.from_json(json.loads(json.dumps(node.as_json()))) == node
