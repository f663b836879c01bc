"""Compares the splitter of delimited text with Python's csv module."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landfall.validation.readers.splitting import Splitter, UnclosedQuote

TEXT = st.text(st.sampled_from('ab1,;" é\n\r\t𝄞'), max_size=6)
TABLES = st.lists(st.lists(TEXT, min_size=2, max_size=4), max_size=8)


@settings(max_examples=300, deadline=None)
@given(TABLES, st.sampled_from(",;\t"), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_well_formed_text_splits_as_csv_reads_it(
    rows: list[list[str]], delimiter: str, end: str, every: bool
) -> None:
    """The splitter reads what the csv module writes, with the line of each record."""
    if not every:  # before Python 3.13 the csv module leaves a carriage return unquoted
        rows = [[cell.replace("\r", "") for cell in row] for row in rows]
    file = io.StringIO(newline="")
    writer = csv.writer(
        file,
        delimiter=delimiter,
        lineterminator=end,
        quoting=csv.QUOTE_ALL if every else csv.QUOTE_MINIMAL,
    )
    starts = []
    for row in rows:
        starts.append(file.getvalue().count("\n"))
        writer.writerow(row)
    text = file.getvalue()

    split = Splitter(delimiter, '"', None).split(text, final=True)

    assert rows == split.rows
    assert starts == list(split.lines)
    assert split.broken == {}
    assert split.newlines == text.count("\n")


@settings(max_examples=200, deadline=None)
@given(TABLES, st.integers(1, 60))
def test_text_in_pieces_splits_as_a_whole(rows: list[list[str]], cut: int) -> None:
    """An incomplete last record is not consumed, and is read with the next piece."""
    file = io.StringIO(newline="")
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows(rows)
    text = file.getvalue()
    splitter = Splitter(",", '"', None)
    head = text[: text.rfind("\n", 0, cut) + 1]

    first = splitter.split(head, final=False)
    second = splitter.split(text[first.consumed :], final=True)

    assert rows == first.rows + second.rows


BAD = {
    'a,b"c,d\n': ("quote", 1, 'b"c'),
    '"a"x,b,c\n': ("quote", 0, '"a"x'),
    'a, "b",c\n': ("quote", 1, ' "b"'),
    "a\rb,c,d\n": ("newline", None, "a\rb,c,d"),
    "a,b,c\r\r\n": ("newline", None, "a,b,c\r"),
    '"a",b\rc,d\n': ("newline", 1, "b\rc"),
}


@pytest.mark.parametrize("text", BAD)
def test_a_malformed_record_affects_no_other(text: str) -> None:
    """The records before and after are not affected."""
    split = Splitter(",", '"', None).split(f'1,2,3\n{text}4,"5",6\n', final=True)

    broken = split.broken[1]
    assert BAD[text] == (broken.rule, broken.field, broken.value)
    assert list(split.broken) == [1]
    assert split.rows[0] == ["1", "2", "3"]
    assert split.rows[2] == ["4", "5", "6"]
    assert list(split.lines) == [0, 1, 2]


def test_blank_lines_are_no_records() -> None:
    """Blank lines are counted as lines."""
    plain = Splitter(",", '"', None).split("\na,b\n\r\n\nc,d\n", final=True)
    quoted = Splitter(",", '"', None).split('\n"a",b\n\r\n\nc,d\n', final=True)

    assert [["a", "b"], ["c", "d"]] == plain.rows == quoted.rows
    assert [1, 4] == list(plain.lines) == list(quoted.lines)


def test_escapes_where_declared() -> None:
    """A backslash escapes a quote, a delimiter or itself."""
    split = Splitter(",", '"', "\\").split('"a\\"b","c\\\\",d\n', final=True)

    assert split.rows == [['a"b', "c\\", "d"]]


def test_an_open_quote_at_the_end() -> None:
    """The error has the number of lines before the record."""
    with pytest.raises(UnclosedQuote) as caught:
        Splitter(",", '"', None).split('a,b\n"c\n,d\n', final=True)
    assert caught.value.args == (1,)
