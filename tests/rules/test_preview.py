"""What expressions give, line by line, and where the error is in the line."""

import pytest

from opscenter.production.rules.parameters import BUILT_INS
from opscenter.production.rules.preview import built_ins, preview
from tests.rules.test_parameters import A


def test_lines_are_expressions_or_assignments():
    text = "${yyyymmdd-1}\n\n  dt=$bizdate hour=$[hh24]\n1=abc\nliteral text"
    assert [(one.line, one.name, one.expression, one.value) for one in preview(text, A)] == [
        (1, "", "${yyyymmdd-1}", "20251030"),
        (3, "dt", "$bizdate", "20251031"),
        (3, "hour", "$[hh24]", "02"),
        (4, "1", "abc", "abc"),
        (5, "", "literal text", "literal text"),
    ]


PLACES = [
    ("x/${yyyymmdd}/$[foo]/y", "parameters.format", "$[foo]"),
    ("  $bizdatex", "parameters.unknown_name", "$bizdatex"),
    ("a=1 b='$bizdate ${hh24}' c=2", "parameters.format", "${hh24}"),
    ("a=$bizdate b=${yyyymmdd", "parameters.unclosed", "${yyyymmdd"),
    ("$[yyyymmdd+9999999]", "parameters.out_of_range", "$[yyyymmdd+9999999]"),
    ("a=1  b", "parameters.no_value", "b"),
    ("a=1 a=2", "parameters.duplicate", "a=2"),
    ("a=b=c", "parameters.equals_sign", "=c"),
    ("a='b c", "parameters.quote", "'b"),
    ("0=1", "parameters.name", "0=1"),
]


@pytest.mark.parametrize(("line", "code", "marked"), PLACES)
def test_an_error_points_at_its_place(line, code, marked):
    (wrong,) = [one for one in preview(line, A) if one.error]
    assert wrong.error.code == code
    assert wrong.marked[1] == marked
    assert "".join(wrong.marked) == line


def test_one_wrong_line_leaves_the_others_their_values():
    assert [one.value for one in preview("$bizdate\n$[x]\n$cyctime", A)] == ["20251031", None, "20251101023045"]


def test_every_built_in_has_a_value():
    assert dict(built_ins(A)) == {
        "$bizdate": "20251031",
        "$cyctime": "20251101023045",
        "$gmtdate": "20251101",
        "$bizmonth": "202510",
        "$jobid": "300000001",
        "$nodeid": "700000001",
        "$taskid": "800000001",
    }
    assert len(BUILT_INS) == 7
