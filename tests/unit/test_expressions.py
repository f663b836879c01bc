"""The Data Factory expression language as the local data factory evaluates it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devcloud.datafactory.dotnet import format_datetime, parse_datetime, parse_iso
from devcloud.datafactory.expressions.errors import ExpressionSyntaxError, ExpressionValueError
from devcloud.datafactory.expressions.evaluate import EvaluationContext, check, evaluate
from devcloud.datafactory.expressions.functions import FUNCTIONS

CONTEXT = EvaluationContext(
    roots={
        "pipeline": {
            "RunId": "r1",
            "parameters": {"n": 3, "o": {"a b": [1, {"c": None}]}, "empty": ""},
            "globalParameters": {"url": "http://x"},
        },
        "item": {"name": "may.csv"},
        "trigger": {"scheduledTime": "2026-01-02T00:00:00Z", "body": {"fileName": "f"}},
    },
    activities={"Get It": {"output": {"granted": True}, "error": {"message": ""}}},
    variables={"v": ["x"]},
    clock=lambda: datetime(2026, 11, 22, 13, 1, 14, 123456, tzinfo=UTC),
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        # Text, escapes, and what keeps its type
        ("plain", "plain"),
        ("", ""),
        ("a@b", "a@b"),
        ("@@not", "@not"),
        ("@@{x}", "@{x}"),
        ("a @@{x} b", "a @{x} b"),
        ("@{1}", "1"),
        ("n=@{pipeline().parameters.n}, @{string(true)}!", "n=3, True!"),
        ("@{'}'}", "}"),
        ("@{concat('{', 'a', '}')}.", "{a}."),
        ("@pipeline().parameters.n", 3),
        ("@'it''s'", "it's"),
        ("@null", None),
        ("@true", True),
        ("@-2", -2),
        ("@1.5", 1.5),
        ("@ concat ( 'a' , 'b' ) ", "ab"),
        ("@CONCAT('a','b')", "ab"),
        # Access
        ("@pipeline().parameters['o']['a b'][0]", 1),
        ("@pipeline().parameters.o['a b'][1].c", None),
        ("@pipeline().parameters.o?.missing", None),
        ("@pipeline().parameters.o?.missing?.deeper", None),
        ("@pipeline().parameters.o?['missing']", None),
        ("@pipeline().globalParameters.url", "http://x"),
        ("@item().name", "may.csv"),
        ("@activity('Get It').output.granted", True),
        ("@variables('v')[0]", "x"),
        ("@trigger().scheduledTime", "2026-01-02T00:00:00Z"),
        ("@triggerBody().fileName", "f"),
        # Logic
        ("@equals('a', 'a')", True),
        ("@equals(1, 1.0)", True),
        ("@equals(1, true)", True),
        ("@equals(true, 0)", False),
        ("@equals('1', 1)", False),
        ("@equals(null, null)", True),
        ("@not(equals('a', 'A'))", True),
        ("@and(true, not(false), true)", True),
        ("@or(false, false)", False),
        ("@or(equals(1, 1), equals('c', pipeline().nowhere))", True),
        ("@and(equals(1, 2), equals('c', pipeline().nowhere))", False),
        ("@if(true, 1, pipeline().nowhere)", 1),
        ("@greater(2, 1)", True),
        ("@greaterOrEquals('b', 'a')", True),
        ("@less(1, 1)", False),
        ("@lessOrEquals(1, 1)", True),
        # Conversion
        ('@string(json(\'{"a": [1, "ü"]}\'))', '{"a":[1,"ü"]}'),
        ("@string(false)", "False"),
        ("@string(1.5)", "1.5"),
        ("@int('12')", 12),
        ("@float('1.5')", 1.5),
        ("@bool('True')", True),
        ("@bool(0)", False),
        ("@array('a')", ["a"]),
        ("@createArray(1, 'b', null)", [1, "b", None]),
        ("@base64('ü')", "w7w="),
        ("@base64ToString('w7w=')", "ü"),
        ("@uriComponent('a b/ü')", "a%20b%2F%C3%BC"),
        ("@uriComponentToString('a%20b')", "a b"),
        ("@decodeUriComponent('http%3A%2F%2Fcontoso.com')", "http://contoso.com"),
        ("@decodeBase64('aGVsbG8=')", "hello"),
        ("@dataUri('hello')", "data:text/plain;charset=utf-8;base64,aGVsbG8="),
        ("@dataUriToString('data:text/plain;charset=utf-8;base64,aGVsbG8=')", "hello"),
        ("@decodeDataUri('data:text/plain,a%20b')", "a b"),
        ("@binary('hello')", "0110100001100101011011000110110001101111"),
        (
            "@base64ToBinary('aGVsbG8=')",
            "0110000101000111010101100111001101100010010001110011100000111101",
        ),
        # Text functions
        ("@concat('a', 1, true, null)", "a1True"),
        ("@replace('aXbX', 'X', '-')", "a-b-"),
        ("@split('a,b', ',')", ["a", "b"]),
        ("@join(createArray('a', 1), '-')", "a-1"),
        ("@substring('hello', 1, 3)", "ell"),
        ("@substring('hello', 3)", "lo"),
        ("@toUpper(toLower('AbC'))", "ABC"),
        ("@trim('  a ')", "a"),
        ("@startsWith('Hello', 'hE')", True),
        ("@endsWith('Hello', 'LO')", True),
        ("@indexOf('Hello', 'L')", 2),
        ("@lastIndexOf('Hello', 'L')", 3),
        ("@indexOf('Hello', 'z')", -1),
        ("@length(guid())", 36),
        ("@length(guid('N'))", 32),
        ("@length(guid('P'))", 38),
        # Collections
        ("@length('abc')", 3),
        ("@length(createArray())", 0),
        ("@empty(pipeline().parameters.empty)", True),
        ("@empty(createArray(1))", False),
        ("@empty(null)", True),
        ("@contains('abc', 'b')", True),
        ("@contains(createArray(1, 2), 2)", True),
        ("@contains(json('{\"a\":1}'), 'a')", True),
        ("@first('abc')", "a"),
        ("@last(createArray(1, 2))", 2),
        ("@take(createArray(1, 2, 3), 2)", [1, 2]),
        ("@skip(createArray(1, 2, 3), 2)", [3]),
        ("@union(createArray(1, 2), createArray(2, 3))", [1, 2, 3]),
        ('@union(json(\'{"a":1}\'), json(\'{"a":2,"b":3}\'))', {"a": 2, "b": 3}),
        ("@intersection(createArray(1, 2), createArray(2, 3))", [2]),
        ("@range(3, 3)", [3, 4, 5]),
        ("@coalesce(null, '', 'x')", ""),
        # Arithmetic
        ("@add(1, 2)", 3),
        ("@add(1, 0.5)", 1.5),
        ("@sub(1, 2)", -1),
        ("@mul(3, 4)", 12),
        ("@div(11, 5)", 2),
        ("@div(-7, 2)", -3),
        ("@div(7.0, 2)", 3.5),
        ("@mod(-7, 3)", -1),
        ("@sub(10.3, .3)", 10.0),
        ("@rand(4, 5)", 4),
        ("@min(3, 1, 2)", 1),
        ("@max(createArray(3, 9))", 9),
        # Time
        ("@utcNow()", "2026-11-22T13:01:14.1234560Z"),
        ("@utcNow('yyyy-MM-dd HH:mm:ss.fff')", "2026-11-22 13:01:14.123"),
        ("@formatDateTime('2026-11-22T13:01:14Z', 'dd.MM.yy h:mm tt')", "22.11.26 1:01 PM"),
        ("@formatDateTime('2026-11-22', 'ddd, d MMMM yyyy')", "Sun, 22 November 2026"),
        ("@formatDateTime('2026-11-22T13:01:14+02:00', 's')", "2026-11-22T11:01:14"),
        ("@addDays('2026-02-28', 1)", "2026-03-01T00:00:00.0000000Z"),
        ("@addHours('2026-02-28T23:00:00Z', 2, 'yyyy-MM-ddTHH')", "2026-03-01T01"),
        ("@addMinutes('2026-02-28', -1, 'HH:mm')", "23:59"),
        ("@addSeconds('2026-02-28', 61, 'mm:ss')", "01:01"),
        ("@ticks('0001-01-02')", 864_000_000_000),
        ("@startOfDay('2026-02-28T23:00:00Z', 'u')", "2026-02-28 00:00:00Z"),
        (
            "@formatDateTime('03/15/2018 12:00:00', 'yyyy-MM-ddTHH:mm:ss')",
            "2018-03-15T12:00:00",
        ),
        ("@formatDateTime('2018-03-15T13:27:36Z', 'D')", "Thursday, March 15, 2018"),
        ("@formatDateTime('2018-03-15T13:27:36Z', 'd')", "3/15/2018"),
        ("@utcNow('D')", "Sunday, November 22, 2026"),
        ("@addToTime('2018-01-01T00:00:00Z', 1, 'Day')", "2018-01-02T00:00:00.0000000Z"),
        ("@addToTime('2018-01-31', 1, 'Month', 'D')", "Wednesday, February 28, 2018"),
        ("@subtractFromTime('2024-02-29', 1, 'Year', 'd')", "2/28/2023"),
        ("@subtractFromTime('2018-01-02T00:00:00Z', 1, 'Day')", "2018-01-01T00:00:00.0000000Z"),
        ("@getFutureTime(2, 'Week', 'D')", "Sunday, December 6, 2026"),
        ("@getPastTime(90, 'Second')", "2026-11-22T12:59:44.1234560Z"),
        (
            "@convertFromUtc('2018-01-01T08:00:00.0000000Z', 'Pacific Standard Time')",
            "2018-01-01T00:00:00.0000000",
        ),
        ("@convertFromUtc('2018-07-01T08:00:00Z', 'W. Europe Standard Time', 't')", "10:00 AM"),
        (
            "@convertToUtc('01/01/2018 00:00:00', 'Pacific Standard Time')",
            "2018-01-01T08:00:00.0000000Z",
        ),
        (
            "@convertTimeZone('2018-01-01T08:00:00.0000000Z', 'UTC', 'Pacific Standard Time')",
            "2018-01-01T00:00:00.0000000",
        ),
        ("@dayOfMonth('2018-03-15T13:27:36Z')", 15),
        ("@dayOfWeek('2018-03-15T13:27:36Z')", 4),
        ("@dayOfWeek('2018-03-18')", 0),
        ("@dayOfYear('2018-03-15T13:27:36Z')", 74),
        ("@startOfHour('2018-03-15T13:30:30Z')", "2018-03-15T13:00:00.0000000Z"),
        ("@startOfMonth('2018-03-15T13:30:30Z', 's')", "2018-03-01T00:00:00"),
        ("@formatDateTime('2026-11-22', '''day'' d')", None),
    ],
)
def test_value(text: str, value: Any) -> None:
    """Each expression has the value that the language reference gives it."""
    if value is None and "''day''" in text:
        value = "day 22"
    result = evaluate(text, CONTEXT)
    assert (value, type(value)) == (result, type(result))


@pytest.mark.parametrize(
    "text",
    [
        "@frobnicate()",
        "@concat()",
        "@if(true, 1)",
        "@concat('a'",
        "@'open",
        "@concat('a') + 'b'",
        "@pipeline().",
        "@name",
        '@concat("a")',
        "@{concat('a')",
        "a @{} b",
        "@pipeline()[",
        "@",
        "@activity()",
        "@concat(" * 200 + "'a'" + ")" * 200,
    ],
)
def test_what_is_no_expression_is_refused_when_it_is_stored(text: str) -> None:
    """An unknown function, a wrong number of arguments, or broken text never passes."""
    with pytest.raises(ExpressionSyntaxError):
        list(check({"nested": [text]}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("@pipeline().nowhere", "property 'nowhere' doesn't exist"),
        ("@pipeline().parameters.o['a b'][2]", "index 2 is outside an array of 2"),
        ("@pipeline().parameters.n.a", "cannot be selected"),
        ("@json('null').a", "from null"),
        ("@activity('Other').output", "'Other' does not exist here, or has not run"),
        ("@variables('w')", "'w'"),
        ("@dataset().x", "'dataset()' has no meaning"),
        ("@add('1', 2)", "expects a number"),
        ("@add(true, 2)", "expects a number"),
        ("@not('true')", "expects a boolean"),
        ("@and(true, 1)", "expects a boolean"),
        ("@if('true', 1, 2)", "expects a boolean"),
        ("@greater('a', 1)", "expects a number"),
        ("@int('1.5')", "an integer"),
        ("@bool('yes')", "'true', 'false'"),
        ("@json('{')", "JSON"),
        ("@substring('abc', 2, 5)", "asks for 5 characters"),
        ("@div(1, 0)", "zero"),
        ("@mod(1, 0)", "zero"),
        ("@range(1, 0)", "at least 1"),
        ("@length(1)", "a string or an array"),
        ("@toUpper(1)", "expects a string"),
        ("@formatDateTime('yesterday')", "ISO 8601"),
        ("@formatDateTime('2026-11-22', 'QQ')", "not supported"),
        ("@formatDateTime('2026-02-30')", "ISO 8601"),
        ("@addDays('9999-12-31', 1)", "calendar"),
        ("@base64ToString('?')", "base64"),
        ("@replace('abc', '', 'x')", "not empty"),
        ("@guid('Q')", "one of N, D, B, P"),
        ("@convertFromUtc('2018-01-01', 'Europe/Berlin')", "no time zone"),
        ("@addToTime('2018-01-01', 1, 'Fortnight')", "one of second"),
        ("@getFutureTime(9999, 'Year')", "calendar"),
        ("@rand(2, 2)", "an end beyond 2"),
        ("@dataUriToString('hello')", "data URI"),
    ],
)
def test_values_that_do_not_fit_are_refused(text: str, message: str) -> None:
    """The error quotes the expression and says what was expected."""
    with pytest.raises(ExpressionValueError) as error:
        evaluate(text, CONTEXT)
    assert message in str(error.value)
    assert text in str(error.value)


def test_a_whole_definition_is_evaluated() -> None:
    """Expressions are found in objects and arrays, in both of their forms; other values stay."""
    definition = {
        "a": ["@add(1, 1)", 5, None, {"b": "@{item().name}"}],
        "c": {"value": "@createArray(1)", "type": "Expression"},
        "d": {"type": "SecureString", "value": "@pipeline().RunId"},
    }
    assert evaluate(definition, CONTEXT) == {
        "a": [2, 5, None, {"b": "may.csv"}],
        "c": [1],
        "d": {"type": "SecureString", "value": "r1"},
    }


def test_names_of_functions_are_lower_case() -> None:
    """The table is looked up in lower case, so an entry in another case would never be found."""
    assert [name for name in FUNCTIONS if name != name.lower()] == []


@given(st.text())
def test_any_text_can_be_quoted(text: str) -> None:
    """A literal with its quotes doubled is the text itself, alone and inside a string."""
    quoted = "'" + text.replace("'", "''") + "'"
    assert evaluate(f"@{quoted}", CONTEXT) == text
    assert evaluate(f"<@{{{quoted}}}>", CONTEXT) == f"<{text}>"


@given(st.text())
def test_any_text_either_evaluates_or_is_refused(text: str) -> None:
    """No text makes the evaluator fail in another way than its own errors."""
    for candidate in (text, f"@{text}", f"a@{{{text}}}"):
        try:
            evaluate(candidate, EvaluationContext())
        except (ExpressionSyntaxError, ExpressionValueError):
            continue


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(JSON.filter(lambda value: isinstance(value, list | dict)))
def test_json_undoes_string(value: Any) -> None:
    """json(string(x)) is x for arrays and objects."""
    context = EvaluationContext(roots={"item": value})
    assert evaluate("@json(string(item()))", context) == value
    assert json.loads(evaluate("@string(item())", context)) == value


@given(st.integers(), st.integers().filter(bool))
def test_div_and_mod_belong_together(left: int, right: int) -> None:
    """A = div(a, b) * b + mod(a, b), and the rest has the sign of a."""
    context = EvaluationContext(roots={"item": {"a": left, "b": right}})
    quotient = evaluate("@div(item().a, item().b)", context)
    rest = evaluate("@mod(item().a, item().b)", context)
    assert quotient * right + rest == left
    assert rest == 0 or (rest < 0) == (left < 0)


MOMENTS = st.datetimes(min_value=datetime(1000, 1, 1), max_value=datetime(9000, 1, 1))  # noqa: DTZ001
FORMATS = st.sampled_from(
    [
        "o",
        "yyyy-MM-ddTHH:mm:ss.ffffff",
        "dd/MM/yyyy hh:mm:ss.ffffff tt",
        "ddd, d MMM yyyy H:m:s.ffffffzzz",
        "yyyyMMddHHmmssffffff",
    ]
)


@given(MOMENTS, FORMATS)
def test_a_written_time_is_read_back(moment: datetime, pattern: str) -> None:
    """Reading undoes writing, for every format that keeps all of a time."""
    assert parse_datetime(format_datetime(moment, pattern), pattern) == moment


@given(MOMENTS, st.integers(-14 * 60, 14 * 60))
def test_offsets_are_taken_off(moment: datetime, minutes: int) -> None:
    """A time with an offset is the same moment in UTC."""
    sign, span = ("-", -minutes) if minutes < 0 else ("+", minutes)
    text = f"{moment.isoformat()}{sign}{span // 60:02}:{span % 60:02}"
    assert parse_iso(text) == moment - timedelta(minutes=minutes)
