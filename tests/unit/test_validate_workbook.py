"""Excel workbooks and ZIP archives: what is read of them, and what is refused."""

from __future__ import annotations

import csv
import io
import re
import struct
import zipfile
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landfall.contract.folder import Contract, parse
from landfall.validation.local_files import BytesSource
from landfall.validation.remote import prepare
from tests.unit.validation import faults, run_validation, small

ORDERS = """
apiVersion: v3.2.0
kind: DataContract
id: orders
version: 1.0.0
schema:
  - name: orders
    properties:
      - {name: id, logicalType: integer, primaryKey: true}
      - {name: customer, physicalName: Customer name, logicalType: string}
      - {name: total, logicalType: number, physicalType: "decimal(10,2)"}
      - {name: day, logicalType: date}
      - {name: at, logicalType: timestamp}
      - {name: clock, logicalType: time}
      - {name: paid, logicalType: boolean}
customProperties:
  - {property: maxRejectedRatio, value: 1}
  - {property: missingValues, value: ["#N/A", "-"]}
"""
HEADER = ["id", "Customer name", "total", "day", "at", "clock", "paid"]
FIRST = [1, "Ann", 12.5, date(2026, 3, 1), datetime(2026, 3, 1, 9, 30), time(9, 30), True]  # noqa: DTZ001 - Excel has no zones


def orders(extra: str = "") -> Contract:
    """A column of each type."""
    return parse(ORDERS + extra, file="orders.odcs.yaml")


def workbook(*rows: Sequence[Any], edit: Callable[[Any], None] | None = None) -> bytes:
    """A workbook with one sheet; `edit` changes it before it is saved."""
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in rows:
        sheet.append(list(row))
    if edit is not None:
        edit(book)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def changed(data: bytes, **parts: bytes | None) -> bytes:
    """The archive with parts replaced, added, or with None left out; `__` stands for `/`."""
    named = {name.replace("__", "/").replace("_xml", ".xml"): new for name, new in parts.items()}
    content = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(content, "w") as new:
        for member in old.infolist():
            if member.filename not in named:
                new.writestr(member, old.read(member))
        for name, part in named.items():
            if part is not None:
                new.writestr(name, part)
    return content.getvalue()


def zipped(**members: bytes) -> bytes:
    """An archive; `_csv` at the end of a name stands for `.csv`."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("_csv", ".csv").replace("_zip", ".zip"), data)
    return content.getvalue()


def reason(data: bytes, contract: Contract, name: str = "may.xlsx") -> str:
    """Why a file is refused."""
    report, found = run_validation(data, contract, name=name)
    assert report.verdict == "refused"
    assert found["accepted"] is None
    assert report.problem is not None
    assert report.problem.action
    return report.problem.reason


def test_a_sheet_is_read_in_the_types_of_the_contract() -> None:
    """Dates are days or moments by the column; whole numbers, texts and errors as people mean."""
    data = workbook(
        HEADER,
        FIRST,
        [2.0, 1001, "7.10", "2026-03-02", "2026-03-02T10:00:00", "10:00:00", "false"],
        [3, 0.1 + 0.2, 0.1 + 0.2, None, None, None, None],
        [4, "#N/A", "-", None, None, None, None],
    )
    report, found = run_validation(data, orders(), name="may.xlsx")
    assert faults(report) == {}
    assert report.format.kind == "xlsx"
    assert report.sha256 is not None
    rows = [tuple(row.values()) for row in found.rows()]
    assert [str(row[2]) for row in rows] == ["12.50", "7.10", "0.30", "None"]
    assert [row[1] for row in rows] == ["Ann", "1001", "0.3", None]
    moment = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
    assert rows[0][3:] == (date(2026, 3, 1), moment, "09:30:00", True)
    assert rows[1][3] == date(2026, 3, 2)
    assert rows[1][6] is False


def test_lines_are_rows_of_the_sheet_and_rejects_can_be_sent_again() -> None:
    """Blank rows count as lines and not as records; rejects are text that Excel opens."""
    data = workbook(
        HEADER, FIRST, [], ["x", "two\nlines", 1, None, None, None, None], [], ["y", None]
    )
    report, found = run_validation(data, orders(), name="may.xlsx")
    assert report.rows == 3
    assert faults(report) == {("type", "id"): (2, [4, 6])}
    assert found["rejects"] == (
        b'id,Customer name,total,day,at,clock,paid\nx,"two\nlines",1,,,,\ny,,,,,,\n'
    )
    assert report.rejects is not None
    assert report.rejects.kind == "csv"
    again, _ = run_validation(found["rejects"].replace(b"x,", b"8,"), orders())
    assert (again.rows, again.rejected) == (2, 1)


def test_a_date_in_a_text_column_is_a_fault() -> None:
    """Excel makes dates of codes such as 3-1: what was meant is lost."""
    report, _ = run_validation(
        workbook(HEADER, [1, date(2026, 3, 1), 1]), orders(), name="may.xlsx"
    )
    assert ("type", "customer") in faults(report)


def test_a_value_beside_the_table_is_a_fault_of_its_record() -> None:
    """As in text: more fields than the header."""
    data = workbook(HEADER, FIRST, [2, *FIRST[1:], "note"], [3, *FIRST[1:], None])
    report, _ = run_validation(data, orders(), name="may.xlsx")
    assert faults(report) == {("fieldCount", None): (1, [3])}


def test_rows_before_the_header_comments_and_no_header() -> None:
    """The contract's properties for text hold for sheets."""
    skip = "  - {property: skipLines, value: 2}\n  - {property: commentPrefix, value: '#'}\n"
    data = workbook(["Report"], ["of May"], ["# a"], HEADER, FIRST, ["# end"])
    report, _ = run_validation(data, orders(skip), name="may.xlsx")
    assert (report.rows, report.rejected) == (1, 0)
    wrong = workbook(["Report"], ["of May"], HEADER, ["x"])
    _, found = run_validation(wrong, orders(skip), name="may.xlsx")
    again, _ = run_validation(found["rejects"] or b"", orders(skip))
    assert (again.rows, again.rejected) == (1, 1)
    bare = "  - {property: header, value: false}\n"
    report, found = run_validation(workbook(FIRST), orders(bare), name="may.xlsx")
    assert (report.rows, report.rejected) == (1, 0)
    assert found.rows()[0]["customer"] == "Ann"


def test_a_merged_header_is_refused_with_the_cell() -> None:
    """Only the first cell of merged ones has a name."""

    def merge(book: Any) -> None:
        book.active.merge_cells("A1:B1")

    data = workbook(["id", "Customer name", "total"], [1, "Ann", 2], edit=merge)
    found = reason(data, orders("  - {property: drift, value: {missingColumns: freeze}}\n"))
    assert "cell B1 of the header is empty" in found


def test_a_formula_without_its_result_is_refused_and_one_with_it_is_read() -> None:
    """Programs write formulas and do not compute them: the cell would read as empty."""
    data = workbook(["id", "name", "secret"], [1, '=CONCATENATE("a","b")', "s"])
    assert "cell B2 has a formula without its result" in reason(data, small())
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml")
    for result, name in ((b"<v>ab</v>", "ab"), (b"<v></v>", None)):
        assert b"</f><v" in sheet
        cells = re.sub(rb"</f><v ?(/>|></v>)", b"</f>" + result, sheet)
        cells = cells.replace(b'r="B2"', b'r="B2" t="str"')
        known = changed(data, xl__worksheets__sheet1_xml=cells)
        report, found = run_validation(known, small(), name="may.xlsx")
        assert report.verdict == "accepted"
        assert found.rows()[0]["name"] == name


def two_sheets(book: Any) -> None:
    """A second sheet with values, one that is hidden, and an empty one."""
    book.active.title = "Orders"
    book.create_sheet("Notes").append(["some text"])
    hidden = book.create_sheet("Hidden")
    hidden.append(["x"])
    hidden.sheet_state = "hidden"
    book.create_sheet("Empty")


def test_of_several_sheets_the_contract_names_one() -> None:
    """By name or number; hidden and empty ones are not asked about."""
    data = workbook(HEADER, FIRST, edit=two_sheets)
    found = reason(data, orders())
    assert "2 sheets with values: 'Orders', 'Notes'" in found
    for sheet in ("Orders", 1):
        report, _ = run_validation(
            data, orders(f"  - {{property: sheet, value: {sheet}}}\n"), name="may.xlsx"
        )
        assert report.verdict == "accepted"
    missing = orders("  - {property: sheet, value: Sales}\n")
    assert "no sheet 'Sales'; it has 'Orders', 'Notes', 'Hidden', 'Empty'" in reason(data, missing)
    assert "4 sheets" in reason(data, orders("  - {property: sheet, value: 9}\n"))


def test_macros_are_refused() -> None:
    """Whatever the file is called."""
    data = changed(workbook(HEADER, FIRST), **{"xl__vbaProject.bin": b"macros"})
    assert "has macros" in reason(data, orders())
    assert "has macros" in reason(data, orders(), "may.xlsm")


def test_bombs_are_refused_before_they_are_unpacked() -> None:
    """By the sizes in the directory of the archive, and no more than these is unpacked."""
    zeros = bytes(64 << 20)
    content = io.BytesIO(workbook(HEADER, FIRST))
    with zipfile.ZipFile(content, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/media/image1.png", zeros)
    assert "expands more than 200 times" in reason(content.getvalue(), orders())
    bomb = zipped(a_csv=zeros)
    assert "expands more than 200 times" in reason(bomb, small(), "may.zip")
    size = struct.pack("<I", len(zeros))
    lying = bomb.replace(size, struct.pack("<I", 1000))
    assert "cannot be unpacked" in reason(lying, small(), "may.zip")


def test_a_part_that_is_read_whole_is_bounded() -> None:
    """Styles of hundreds of megabytes are no styles."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("xl/workbook.xml", b" " * (17 << 20))
    assert "xl/workbook.xml in the workbook has 17 MiB" in reason(content.getvalue(), orders())


SPACE = b"http://schemas.openxmlformats.org/spreadsheetml/2006/main"
SHEET = (
    b'<worksheet xmlns="%b"><sheetData><row r="1"><c r="A1" t="s"><v>0</v></c></row>'
    b'<row r="2"><c r="A2"><v>7</v></c></row><row r="3"><c r="A3" t="s"><v>1</v></c></row>'
    b"</sheetData></worksheet>" % SPACE
)
"""As Excel writes it: texts are in a part of their own."""
STRINGS = (
    b'<sst xmlns="%b"><si><t>name</t></si><si><r><t>rich </t></r><r><t>a_x000D_b</t></r></si></sst>'
    % SPACE
)


def test_texts_that_cells_share_are_read() -> None:
    """With formats inside, and with what Excel escapes."""
    data = workbook()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        types = archive.read("[Content_Types].xml")
    kind = b"application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
    strings = b'<Override PartName="/xl/sharedStrings.xml" ContentType="%b" /></Types>' % kind
    data = changed(
        data,
        xl__worksheets__sheet1_xml=SHEET,
        xl__sharedStrings_xml=STRINGS,
        **{"[Content_Types].xml": types.replace(b"</Types>", strings)},
    )
    text = ORDERS.split("      - {name: id", maxsplit=1)[0]
    names = parse(text + "      - {name: name, logicalType: string}\n", file="orders.odcs.yaml")
    _, found = run_validation(data, names, name="may.xlsx")
    assert [row["name"] for row in found.rows()] == ["7", "rich a\rb"]


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"xl__worksheets__sheet1_xml": SHEET.replace(b"<v>1<", b"<v>9<")}, "cannot be read"),
        ({"xl__worksheets__sheet1_xml": b"<broken"}, "cannot be read"),
        ({"xl__worksheets__sheet1_xml": None}, "no values"),
        ({"xl__workbook_xml": None, "xl__workbook.bin": b""}, "binary"),
        ({"xl__workbook.bin": b""}, "binary"),
    ],
)
def test_damaged_and_foreign_workbooks_are_refused(
    parts: dict[str, bytes | None], words: str
) -> None:
    """With what to do, and never an exception."""
    assert words in reason(changed(workbook(HEADER, FIRST), **parts), orders())


def test_rows_beyond_the_format_are_refused() -> None:
    """A row of a billion would be padded by a billion rows."""
    data = workbook(HEADER, FIRST)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml")
    far = sheet.replace(b'r="2"', b'r="2000000000"')
    assert far != sheet
    assert "cannot be read" in reason(changed(data, xl__worksheets__sheet1_xml=far), orders())


def test_every_cut_of_a_workbook_is_refused() -> None:
    """An upload that was cut off."""
    data = workbook(HEADER, FIRST)
    for end in range(4, len(data), 97):
        reason(data[:end], orders())


def test_names_promise_the_content() -> None:
    """A workbook under another name, and another file under a workbook's."""
    data = workbook(HEADER, FIRST)
    assert "a ZIP archive or an Excel workbook" in reason(data, orders(), "may.csv")
    assert "is an Excel workbook" in reason(data, orders(), "may.zip")
    assert "a ZIP archive" in reason(zipped(a_csv=b"id"), orders())
    assert "content is no workbook" in reason(b"id\n1\n", orders())
    assert "content is Parquet" in reason(b"PAR1", orders())
    report, _ = run_validation(data, orders(), name="may")
    assert report.verdict == "accepted"
    assert "password" in reason(b"\xd0\xcf\x11\xe0" + bytes(100), orders(), "may.xls")


def test_the_one_file_of_an_archive_is_the_drop() -> None:
    """What macOS adds is passed over; the member's name says what it is."""
    csv = b"id,name,secret\n1,a,s\n2,b,bad\n"
    data = zipped(**{"folder/may_csv": csv, "__MACOSX/folder/._may_csv": b"x", ".DS_Store": b"y"})
    report, found = run_validation(data, small(), name="may.zip")
    assert (report.rows, report.rejected) == (2, 1)
    assert (report.format.compression, report.format.kind) == ("zip", "csv")
    assert report.bytes == len(data)
    assert report.sha256 is not None
    assert found["rejects"] == b"id,name,secret\n2,b,bad\n"


@pytest.mark.parametrize(
    ("data", "name", "words"),
    [
        (zipped(), "may.zip", "holds no file"),
        (zipped(a_csv=b"id", b_csv=b"id"), "may.zip", "holds 2 files: 'a.csv', 'b.csv'"),
        (zipped(a_csv=zipped(b_csv=b"id")), "may.zip", "packed once more"),
        (zipped(a_csv=b""), "may.zip", "is empty"),
        (zipped(a_csv=b"\x89PNG"), "may.zip", "PNG"),
        (zipped(a_csv=b"id,name,secret\n1,a,s\n"), "may.csv", "but the content is a ZIP archive"),
        (b"id,name,secret\n1,a,s\n", "may.csv.zip", "not a ZIP archive"),
        (zipped(a_csv=b"id,name,secret\n1,a,s\n")[:-30], "may.zip", "damaged"),
    ],
)
def test_archives_that_are_no_drop_are_refused(data: bytes, name: str, words: str) -> None:
    """Each with the reason."""
    assert words in reason(data, small(), name)


def test_an_encrypted_member_is_refused() -> None:
    """Nobody can give its password."""
    data = bytearray(zipped(a_csv=b"id,name,secret\n1,a,s\n"))
    entry = data.index(b"PK\x01\x02")
    data[entry + 8] |= 1
    assert "has a password" in reason(bytes(data), small(), "may.zip")


def test_archives_and_workbooks_are_validated_by_the_service() -> None:
    """The job reads neither: their content cannot be cut into blocks."""
    for data, name in ((workbook(HEADER, FIRST), "may.xlsx"), (zipped(a_csv=b"id\n"), "may.zip")):
        assert prepare(BytesSource(data), orders(), name) is None


TEXTS = st.text(
    st.characters(min_codepoint=32, exclude_characters="=_", exclude_categories=("C", "Z")),
    min_size=1,
    max_size=8,
)
RECORDS = st.lists(
    st.tuples(
        TEXTS,
        st.decimals(min_value=-99_999, max_value=99_999, places=2),
        st.dates(min_value=date(1901, 1, 1)),
        st.booleans(),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(RECORDS)
def test_a_sheet_gives_the_rows_that_the_same_text_gives(
    records: list[tuple[str, Decimal, date, bool]],
) -> None:
    """Texts, decimals, dates and booleans, whatever they are."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    rows = []
    for number, (name, total, day, paid) in enumerate(records):
        writer.writerow([number, name, total, day, "", "", str(paid).lower()])
        rows.append([number, name, float(total), day, None, None, paid])
    plain = parse(ORDERS.partition("  - {property: missing")[0], file="orders.odcs.yaml")
    _, expected = run_validation(text.getvalue().encode(), plain)
    report, found = run_validation(workbook(HEADER, *rows), plain, name="may.xlsx")
    assert faults(report) == {}
    assert found.rows() == expected.rows()
