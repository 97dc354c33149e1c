"""Scheduling parameters: the worked examples of spec/opscenter.md 4, assignments, and what a script keeps."""

from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opscenter.production.rules.parameters import (
    Context,
    ParameterError,
    evaluate,
    parse_assignments,
    positional,
    resolve,
    substitute,
)

A = Context(
    bizdate=date(2025, 10, 31),
    scheduled_local=datetime(2025, 11, 1, 2, 30, 45),
    current_date=date(2025, 11, 1),
    node_id=700000001,
    workflow_id=300000001,
    instance_id=800000001,
)


def _at(text):
    """The context of a scheduled instance at that local time."""
    at = datetime.fromisoformat(text)
    return replace(A, bizdate=at.date() - timedelta(days=1), scheduled_local=at, current_date=at.date())


EXAMPLES_A = [
    ("${yyyymmdd}", "20251031"),
    ("$bizdate", "20251031"),
    ("${yyyy}", "2025"),
    ("${yy}", "25"),
    ("${mm}", "10"),
    ("${dd}", "31"),
    ("${yyyymm}", "202510"),
    ("${yyyy-mm-dd}", "2025-10-31"),
    ("${yyyymmdd-1}", "20251030"),
    ("${yyyymmdd+1}", "20251101"),
    ("${yyyymmdd-7*1}", "20251024"),
    ("${yyyymmdd-7*2}", "20251017"),
    ("${yyyymm-1}", "202509"),
    ("${yyyymm+2}", "202512"),
    ("${mm-1}", "09"),
    ("${yyyy-1}", "2024"),
    ("${yyyy-mm-dd-1}", "2025-10-30"),
    ("${yyyy/mm/dd}", "2025/10/31"),
    ("${yyyymm}01", "20251001"),
    ("$[yyyymmddhh24miss]", "20251101023045"),
    ("$cyctime", "20251101023045"),
    ("$[yyyy]", "2025"),
    ("$[yy]", "25"),
    ("$[mm]", "11"),
    ("$[dd]", "01"),
    ("$[yyyymm]", "202511"),
    ("$[yyyy-mm-dd]", "2025-11-01"),
    ("$[yyyymmdd-1]", "20251031"),
    ("$[yyyymmdd+1]", "20251102"),
    ("$[hh24miss]", "023045"),
    ("$[hh24]", "02"),
    ("$[hh12]", "02"),
    ("$[hh]", "02"),
    ("$[mi]", "30"),
    ("$[ss]", "45"),
    ("$[hh24:mi:ss]", "02:30:45"),
    ("$[add_months(yyyymmdd,-1)]", "20251001"),
    ("$[add_months(yyyymmdd,12*1)]", "20261101"),
    ("$[add_months(yyyymm,12*1)]", "202611"),
    ("$[add_months(yyyymmdd,-12*2)]", "20231101"),
    ("$[hh24miss-1/24]", "013045"),
    ("$[yyyymmddhh24miss-15/24/60]", "20251101021545"),
    ("$[yyyymmdd-1-1/24]", "20251031"),
    ("$[yyyymmddhh24-1-1/24]", "2025103101"),
    ("$[yyyymmddhh24miss-3/24]", "20251031233045"),
    ("$[yyyymmddhh24miss+1-1/24-30/24/60]", "20251102010045"),
    ("$gmtdate", "20251101"),
    ("$bizmonth", "202510"),
    ("$jobid", "300000001"),
    ("$nodeid", "700000001"),
    ("$taskid", "800000001"),
    ("abc", "abc"),
    ("", ""),
    ("5$", "5$"),
    ("a.b/c", "a.b/c"),
    ("dt=${yyyymmdd}/hour=$[hh24]", "dt=20251031/hour=02"),
    ("$bizdate-$cyctime", "20251031-20251101023045"),
    ("${yyyymmdd}$[hh24]x$nodeid", "2025103102x700000001"),
]


@pytest.mark.parametrize(("expression", "value"), EXAMPLES_A)
def test_worked_examples_a(expression, value):
    assert evaluate(expression, A) == value


EXAMPLES_B = [
    ("2025-03-15 00:00:00", "$bizdate", "20250314"),
    ("2025-03-15 00:00:00", "$[yyyymmdd-1]", "20250314"),
    ("2025-03-15 00:00:00", "$[yyyymmddhh24miss-1/24]", "20250314230000"),
    ("2025-03-15 00:15:00", "$[yyyymmddhh24-1/24]", "2025031423"),
    ("2025-03-16 00:00:00", "${yyyymmdd}", "20250315"),
    ("2025-03-16 00:00:00", "$[yyyymmddhh24miss]", "20250316000000"),
    ("2025-03-16 00:00:00", "$gmtdate", "20250316"),
    # months are clamped at their end
    ("2025-03-31 00:00:00", "$[add_months(yyyymmdd,-1)]", "20250228"),
    ("2024-03-31 00:00:00", "$[add_months(yyyymmdd,-1)]", "20240229"),
    ("2024-02-29 00:00:00", "$[add_months(yyyymmdd,12*1)]", "20250228"),
    ("2025-04-01 00:00:00", "${yyyymm-1}", "202502"),
    ("2024-03-01 00:00:00", "${yyyy-1}", "2023"),
    ("2025-01-02 00:00:00", "${yyyymm-1}", "202412"),
    ("2025-01-01 00:00:00", "$bizdate", "20241231"),
    # twelve hours
    ("2025-03-15 00:05:00", "$[hh12mi]", "1205"),
    ("2025-03-15 12:05:00", "$[hh]", "12"),
    ("2025-03-15 13:05:00", "$[hh12]", "01"),
]


@pytest.mark.parametrize(("scheduled", "expression", "value"), EXAMPLES_B)
def test_worked_examples_b(scheduled, expression, value):
    assert evaluate(expression, _at(scheduled)) == value


BUSINESS_MONTHS = [  # business date, current date, month
    (date(2025, 10, 31), date(2025, 11, 1), "202510"),
    (date(2025, 11, 14), date(2025, 11, 15), "202510"),
    (date(2025, 1, 3), date(2025, 1, 4), "202412"),
    (date(2024, 11, 14), date(2025, 11, 15), "202411"),
]


@pytest.mark.parametrize(("bizdate", "current", "month"), BUSINESS_MONTHS)
def test_the_business_month_is_the_last_one_that_is_over(bizdate, current, month):
    assert evaluate("$bizmonth", replace(A, bizdate=bizdate, current_date=current)) == month


BAD_EXPRESSIONS = [
    ("${foo}", "parameters.format"),
    ("${}", "parameters.format"),
    ("${hh24}", "parameters.format"),
    ("${yyyymmdd-1/24}", "parameters.format"),
    ("${yyyymmdd-}", "parameters.format"),
    ("$[foo]", "parameters.format"),
    ("$[1+2]", "parameters.format"),
    ("$[yyyymmdd-1/12]", "parameters.format"),
    ("$[add_months(yyyymmdd)]", "parameters.format"),
    ("$[add_months(yyyymmdd,1/24)]", "parameters.format"),
    ("$unknown", "parameters.unknown_name"),
    ("$bizdates", "parameters.unknown_name"),
    ("${yyyymmdd", "parameters.unclosed"),
    ("$[yyyymmdd", "parameters.unclosed"),
    ("${yyyymmdd-999999999}", "parameters.out_of_range"),
    ("${yyyymmdd-99999999999999999999}", "parameters.out_of_range"),
    ("${yyyymmdd-" + "9" * 5000 + "}", "parameters.out_of_range"),
    ("$[yyyymmdd+" + "9" * 5000 + "/24]", "parameters.out_of_range"),
    ("${yyyy+9999}", "parameters.out_of_range"),
    ("$[yyyymmdd+9999999]", "parameters.out_of_range"),
    ("$[add_months(yyyymmdd,-12*9999)]", "parameters.out_of_range"),
    ("${" + "y" * 500 + "!}", "parameters.format"),  # and in no time
]


@pytest.mark.parametrize(("expression", "code"), BAD_EXPRESSIONS)
def test_an_expression_without_value_is_named(expression, code):
    with pytest.raises(ParameterError) as caught:
        evaluate(f"x{expression}", A)
    assert caught.value.reason.code == code
    assert expression in f"x{caught.value.reason.params['expression']}"


ASSIGNMENTS = [
    ("", {}),
    ("  \n ", {}),
    ("a=1", {"a": "1"}),
    ("dt=$bizdate hour=$[hh24]", {"dt": "$bizdate", "hour": "$[hh24]"}),
    (" dt=${yyyymm}01\n\tb='abc'  c=\"d e\" ", {"dt": "${yyyymm}01", "b": "abc", "c": "d e"}),
    ("a='' b=\"x=y\" c='it is \"so\"'", {"a": "", "b": "x=y", "c": 'it is "so"'}),
    ("1=$bizdate 2=abc", {"1": "$bizdate", "2": "abc"}),
    ("_x=a'b", {"_x": "a'b"}),
    ("x=$[add_months(yyyymmdd,-1)]", {"x": "$[add_months(yyyymmdd,-1)]"}),
]


@pytest.mark.parametrize(("text", "expected"), ASSIGNMENTS)
def test_assignments(text, expected):
    found = parse_assignments(text)
    assert found == expected
    assert list(found) == list(expected)


BAD_ASSIGNMENTS = [
    ("=1", "parameters.name", 1),
    ("a=1 2x=3", "parameters.name", 5),
    ("a-b=1", "parameters.name", 1),
    ("0=1", "parameters.name", 1),
    ("a=1  b", "parameters.no_value", 6),
    ("a=", "parameters.no_value", 1),
    ("a=1 a=2", "parameters.duplicate", 5),
    ("a=b=c", "parameters.equals_sign", 4),
    ("a='b c", "parameters.quote", 3),
    ("a='b'c", "parameters.quote", 3),
]


@pytest.mark.parametrize(("text", "code", "position"), BAD_ASSIGNMENTS)
def test_a_wrong_assignment_is_named_with_its_position(text, code, position):
    with pytest.raises(ParameterError) as caught:
        parse_assignments(text)
    assert (caught.value.reason.code, caught.value.reason.params["position"]) == (code, position)


def test_resolve():
    assert resolve(parse_assignments("dt=$bizdate at=$[hh24miss] who='a b'"), A) == {
        "dt": "20251031",
        "at": "023045",
        "who": "a b",
    }


VALUES = {"dt": "20251031", "1": "first", "nested": "${dt}", "mm": "mine"}

CODE = [
    # assigned names
    ('echo "${dt}"', 'echo "20251031"'),
    ("echo ${dt}${dt} ${1}", "echo 2025103120251031 first"),
    ("echo ${nested}", "echo ${dt}"),  # values are not read again
    ("echo ${mm} ${dd}", "echo mine 31"),  # an assigned name wins
    # expressions in the script itself
    ("echo $bizdate $cyctime", "echo 20251031 20251101023045"),
    ("echo ${yyyymmdd-1} $[yyyymmddhh24miss]", "echo 20251030 20251101023045"),
    ("x='$[yyyy-mm-dd hh24:mi:ss]'", "x='2025-11-01 02:30:45'"),
    ("$[add_months(yyyymmdd, -1)]", "20251001"),
    ("path=/data/$bizdate/x_$bizdate.csv", "path=/data/20251031/x_20251031.csv"),
    # what belongs to the shell
    ("echo $[1+2] $[ a + b ] $((1+2))", "echo $[1+2] $[ a + b ] $((1+2))"),
    ("echo ${HOME} $HOME $biz $bizdates $bizdate_x", "echo ${HOME} $HOME $biz $bizdates $bizdate_x"),
    ("echo $dt $1 $2 $@ $? $# $$ $!", "echo $dt $1 $2 $@ $? $# $$ $!"),
    ("echo ${dt:-x} ${dt%.*} ${#dt} ${mm:-1} ${!dt}", "echo ${dt:-x} ${dt%.*} ${#dt} ${mm:-1} ${!dt}"),
    ("echo $$bizdate $${dt}", "echo $$bizdate $${dt}"),
    (r"echo \$bizdate \${dt} \\${dt}", r"echo \$bizdate \${dt} \\20251031"),
    ("echo ${bizdate} ${cyctime} $gmtdate", "echo ${bizdate} ${cyctime} $gmtdate"),
    ("a=(1 2); echo ${a[0]} ${a[@]}", "a=(1 2); echo ${a[0]} ${a[@]}"),
    ("echo ${unclosed", "echo ${unclosed"),
    ("x=$[\nyyyy\n]", "x=$[\nyyyy\n]"),
    ("awk '{print $1}' <<< \"${x:0:3}\"", "awk '{print $1}' <<< \"${x:0:3}\""),
    ("echo $(date +%Y) `date`", "echo $(date +%Y) `date`"),
]


@pytest.mark.parametrize(("code", "expected"), CODE)
def test_substitution_leaves_the_script_its_own(code, expected):
    assert substitute(code, VALUES, A) == expected


def test_without_a_context_only_names_are_replaced():
    assert substitute("${dt} ${yyyymmdd} $bizdate $[hh24]", VALUES) == "20251031 ${yyyymmdd} $bizdate $[hh24]"


def test_a_date_that_no_calendar_has_is_an_error_in_a_script_too():
    with pytest.raises(ParameterError):
        substitute("echo ${yyyymmdd-99999999}", {}, A)


def test_positional():
    assert positional({"2": "b", "x": "y", "1": "a", "4": "d"}) == ["a", "b"]
    assert positional({"dt": "20251031"}) == []


NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)
PLAIN = st.text(st.characters(codec="ascii", categories=["L", "N", "P"], exclude_characters="'\"$="), min_size=1)


@given(st.dictionaries(NAMES, PLAIN, max_size=5))
def test_plain_values_come_back_as_they_were_written(values):
    text = " ".join(f"{name}={value}" for name, value in values.items())
    assert resolve(parse_assignments(text), A) == values


@given(st.text(max_size=60))
def test_any_assignment_text_is_read_or_refused_with_a_code(text):
    try:
        resolve(parse_assignments(text), A)
    except ParameterError as error:
        assert error.reason.code.startswith("parameters.")


@given(st.text(st.characters(exclude_characters="$"), max_size=60))
def test_a_script_without_dollar_signs_is_not_changed(code):
    assert substitute(code, VALUES, A) == code


@given(st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31)), st.integers(-400, 400))
def test_offsets_are_those_of_the_calendar(at, count):
    context = _at(at.replace(microsecond=0).isoformat())
    sign = f"{count:+d}"
    assert evaluate(f"${{yyyymmdd{sign}}}", context) == f"{context.bizdate + timedelta(days=count):%Y%m%d}"
    expected = context.scheduled_local + timedelta(hours=count)
    assert evaluate(f"$[yyyymmddhh24miss{sign}/24]", context) == f"{expected:%Y%m%d%H%M%S}"
