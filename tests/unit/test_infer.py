"""`landfall.authoring.infer`: a contract accepts the sample that it was inferred from."""

import io
import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from landfall.authoring.infer import infer
from landfall.contract.folder import Contract, parse
from landfall.validation.local_files import BytesSource
from landfall.validation.problems import Refusal
from tests.unit.test_cases import parquet
from tests.unit.validation import run_validation


def inferred(data: bytes, name: str = "x.csv") -> tuple[Contract, str]:
    """The contract of a sample, which accepts it, and its text."""
    text = infer(BytesSource(data), name=name, dataset="rows")
    contract = parse(text, file="rows.odcs.yaml")
    report, _ = run_validation(data, contract, name=name)
    assert report.verdict != "refused", (report.problem, report.checks)
    assert (report.verdict == "accepted") == (contract.max_rejected_ratio == 0)
    return contract, text


def of(contract: Contract) -> dict[str, str]:
    """Types by name."""
    return {column.name: column.logical_type for column in contract.columns}


def lines(*values: str, header: str = "c") -> bytes:
    """A file of one column."""
    return "\n".join([header, *values, ""]).encode()


TYPES = {
    "identifiers of 20 digits": ([f"123456789012345600{n:02}" for n in range(120)], "string"),
    "identifiers of 18 digits": ([f"1234567890123456{n:02}" for n in range(20)], "integer"),
    "leading zeros": (["007", "12", "13"], "string"),
    "codes with an E": (["1001", "5E5", "10E1"], "string"),
    "exponents with a sign": (["1e-05", "0.5", "2"], "number"),
    "fractions of many digits before the point": (["12345678901234567.5", "1.5"], "string"),
    "one word of truth": (["true", "True"], "boolean"),
    "days": (["2024-02-29", "0001-01-01"], "date"),
    "no days": (["2023-02-29", "2024-01-01"], "string"),
    "days that are not told from months": (["01/02/2024", "03/04/2024"], "string"),
    "days by the point": (["01.02.2024", "31.12.2024"], "date"),
    "months first": (["1/2/2024", "12/31/2024"], "date"),
    "stamps": (["2024-01-01 10:00:00+00", "2024-01-01T10:00:00Z"], "timestamp"),
    "stamps without seconds": (["2024-01-01 10:00", "2024-01-02 23:59"], "timestamp"),
    "amounts with a comma": (["1.234,50", "7,5", "12"], "number"),
    "amounts with groups": (["1,234.50", "7.5", "12"], "number"),
    "a comma that may be either": (["1,234", "7,500"], "string"),
    "missing values among numbers": (["1.5", "NA", "2.5", "-"], "number"),
    "missing values among text": (["a", "NA", "-"], "string"),
    "blanks around numbers": ([" 1", "2 ", "3"], "integer"),
    "yes and no": (["Yes", "no", "yes"], "boolean"),
    "nothing": (["", ""], "string"),
}


@pytest.mark.parametrize(("values", "kind"), TYPES.values(), ids=TYPES)
def test_types_of_texts(values: list[str], kind: str) -> None:
    """A column has a type only where every text of the sample is a value of it."""
    data = lines(*(f'{n};"{value}"' for n, value in enumerate(values)), header="n;c")

    contract, _ = inferred(data)

    assert of(contract)["c"] == kind


def test_cleaning_is_proposed() -> None:
    """What the sample needs to be read as another type than text is said."""
    contract, _ = inferred(b'a;b;c\n"1.234,50";x;Y\n NA;y;n\n"7,5";z;Y\n')

    amount, _, flag = contract.columns
    assert amount.cleaning.missing == ("NA",)
    assert amount.cleaning.trim
    assert (amount.cleaning.decimal, amount.cleaning.thousands) == (",", ".")
    assert (flag.cleaning.true_values, flag.cleaning.false_values) == (("Y",), ("n",))


def test_files_that_have_types_say_them() -> None:
    """Texts of JSON and Parquet are texts; other values have the types of the file."""
    data = (
        b'{"id":1,"zip":"12345","active":"true","d":1,"on":true,"x":1.5,"day":"2024-01-01"}\n'
        b'{"id":2,"zip":"10115","active":"false","d":"2","on":null,"x":2,"day":"2024-01-02"}\n'
    )
    contract, _ = inferred(data, "x.jsonl")
    assert list(of(contract).values()) == [
        *("integer", "string", "string", "string", "boolean", "number", "date")
    ]
    assert contract.drift.changed == "evolve"

    contract, _ = inferred(
        parquet(zip=["12345"], day=["2024-01-01"], amount=[Decimal("12.50")]), "x.parquet"
    )
    assert list(of(contract).values()) == ["string", "string", "number"]
    assert contract.column("amount").decimal is not None


@pytest.mark.parametrize(
    ("codec", "said"),
    [("cp1252", "cp1252"), ("utf-16-le", "utf-16-le"), ("utf-16-be", "utf-16-be"), ("utf-8", None)],
)
def test_encodings(codec: str, said: str | None) -> None:
    """Latin letters of other encodings are found, and never replaced."""
    rows = "".join(f"{n};{('Schweiz', 'Österreich')[n % 2]}\n" for n in range(200))

    contract, text = inferred(f"id;land\n{rows}".encode(codec))

    assert contract.hints.encoding == said
    assert contract.column("land").enum == ("Schweiz", "Österreich")
    assert "\ufffd" not in text


def test_a_long_array_on_one_line() -> None:
    """Only whole elements of the beginning are read."""
    data = json.dumps([{"id": n, "text": "x" * 80} for n in range(100_000)]).encode()
    assert len(data) > 8 << 20

    text = infer(BytesSource(data), name="x.json", dataset="rows")

    assert parse(text, file="t").key == ("id",)


def test_delimiters_inside_of_quotes() -> None:
    """The delimiter is the one that gives records of one width."""
    contract, _ = inferred(b'"a;b;c","d"\n1,2\n3,4\n')

    assert [column.source for column in contract.columns] == ["a;b;c", "d"]
    assert [column.name for column in contract.columns] == ["a_b_c", "d"]


def test_names_that_a_contract_cannot_have() -> None:
    """They are mapped; columns without a name, or with one twice, are left out."""
    contract, text = inferred(b",Order ID,_id,Id,ID,x,x\n1,2,3,4,5,6,7\n")

    assert {column.source: column.name for column in contract.columns} == {
        "Order ID": "Order_ID",
        "_id": "id",
        "Id": "Id_2",
        "ID": "ID_3",
    }
    assert "has no name" in text
    assert "more than once" in text


REFUSED = {
    "a carriage return alone": (b"a,b\r1,2\r3,4\r", "x.csv", "carriage return"),
    "a stray quote": (b'a"x"b,c\n1,2\n', "x.csv", "quote"),
    "no records": (b"a,b\n", "x.csv", "no records"),
    "nested values alone": (b'{"a":[1]}\n', "x.jsonl", "no column"),
}


@pytest.mark.parametrize(("data", "name", "reason"), REFUSED.values(), ids=REFUSED)
def test_samples_without_a_contract(data: bytes, name: str, reason: str) -> None:
    """The reason is that of the file."""
    with pytest.raises(Refusal) as caught:
        inferred(data, name)

    assert reason in caught.value.problem.reason


def test_years_are_a_header() -> None:
    """A line of years names columns."""
    assert of(inferred(b"2010,2011\n1,2\n3,4\n")[0]) == {"2010": "integer", "2011": "integer"}


def test_what_the_sample_breaks_is_tolerated_with_a_remark() -> None:
    """Records out of form are counted and let be."""
    contract, text = inferred(b"a,b\n" + b"x,1\n" * 8 + b"x,1,2\nx\n")

    assert contract.max_rejected_ratio == pytest.approx(0.2)
    assert "2 of 10 records are rejected (fieldCount)" in text


_CELLS = st.sampled_from(
    [*("", "NA", "1", "-1.5", "007", "1,5", "2024-01-01", "yes", "no", "x", "é", "a b", "1e5")]
)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(_CELLS, _CELLS, _CELLS), min_size=1, max_size=30), st.sampled_from(",;\t")
)
def test_any_table_has_a_contract_that_accepts_it(
    rows: list[tuple[str, ...]], delimiter: str
) -> None:
    """Whatever its cells are."""
    table = [("first", "second one", "third"), *rows]
    data = "".join(delimiter.join(f'"{cell}"' for cell in row) + "\n" for row in table).encode()

    contract, _ = inferred(data)

    assert len(contract.columns) == 3


@pytest.mark.parametrize("file", ["users", "online_retail"])
def test_published_files(file: str) -> None:
    """Where somebody has put them beside the repository."""
    shared = Path(__file__).resolve().parents[3] / "shared" / "data"
    found = sorted(shared.glob(f"**/*{file.split('_', maxsplit=1)[0]}*.csv"))
    if not found:
        pytest.skip("there are no published files")
    with found[0].open("rb") as opened:
        data = opened.read(1 << 20)
    inferred(data[: data.rfind(b"\n") + 1])


def custom(contract: Contract) -> dict[str, Any]:
    """The custom properties of a contract's document."""
    document = yaml.safe_load(contract.text)
    return {one["property"]: one["value"] for one in document["customProperties"]}


def test_lines_before_the_header_and_comments_are_found() -> None:
    """They are proposed and said."""
    contract, text = inferred(b"Report of May\nmade by SAP\n\nid;name\n1;a\n2;b\n3;c\n")
    assert custom(contract)["skipLines"] == 3
    assert [column.name for column in contract.columns] == ["id", "name"]
    assert "comes after 3 lines" in text
    contract, text = inferred(b"# exported\n# on Monday\nid,name\n1,a\n# more\n2,b\n")
    assert custom(contract)["commentPrefix"] == "#"
    assert "comments" in text
    contract, _ = inferred(b"#id,name\n1,a\n2,b\n")
    assert [column.source for column in contract.columns] == ["#id", "name"]


def test_a_file_without_header_is_found() -> None:
    """Columns are named by their position; the first record is in the sample."""
    contract, text = inferred(b"1,Alice,2024-01-01\n2,Bob,2024-01-02\n")
    assert not contract.hints.header
    assert [(c.name, c.logical_type) for c in contract.columns] == [
        ("column_1", "integer"),
        ("column_2", "string"),
        ("column_3", "date"),
    ]
    assert "there is no header" in text


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["$12.50", "$1,234.50", "7"], {"currencySigns": ["$"], "thousandsSeparator": ","}),
        (
            ["12,50 €", "1.234,50 €"],
            {"currencySigns": ["€"], "decimalSeparator": ",", "thousandsSeparator": "."},
        ),
        (["EUR 5", "EUR -6"], {"currencySigns": ["EUR"]}),
    ],
)
def test_currencies_are_found(values: list[str], expected: dict[str, Any]) -> None:
    """A number with its sign is a number."""
    rows = "".join(f'"{value}",x\n' for value in values)
    contract, _ = inferred(f"price,name\n{rows}".encode())
    price = contract.column("price")
    assert price.logical_type == "number"
    document = yaml.safe_load(contract.text)["schema"][0]["properties"][0]["customProperties"]
    assert {one["property"]: one["value"] for one in document} == expected


def test_years_of_two_digits_are_found_and_said() -> None:
    """The century is a guess."""
    contract, text = inferred(b"day\n10/22/12\n1/05/13\n12/31/99\n")
    assert contract.column("day").years_from == 1950
    assert "1950 to 2049" in text


def test_nested_objects_are_flattened_by_their_paths() -> None:
    """Lists are left out, and said."""
    lines = [
        {"id": n, "address": {"city": "x", "geo": {"lat code": 1.5}}, "tags": ["a"]}
        for n in range(3)
    ]
    data = "\n".join(map(json.dumps, lines)).encode()
    contract, text = inferred(data, name="x.jsonl")
    assert {column.name: column.path for column in contract.columns} == {
        "id": None,
        "address_city": ("address", "city"),
        "address_geo_lat_code": ("address", "geo", "lat code"),
    }
    assert "'tags' is left out" in text


def test_a_workbook_is_inferred() -> None:
    """Types of cells, names of columns, the row of the header and the sheet."""
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "Orders"
    for row in (
        ["Report of May"],
        ["Order no", "Customer", "Total", "Day", "Paid", "Note"],
        *(
            [n, f"c{n}", n / 4, date(2026, 3, n % 28 + 1), n % 2 == 0, "-" if n % 3 else n]
            for n in range(30)
        ),
    ):
        sheet.append(row)
    book.create_sheet("Notes").append(["text"])
    content = io.BytesIO()
    book.save(content)
    contract, text = inferred(content.getvalue(), name="may.xlsx")
    assert [(c.name, c.logical_type) for c in contract.columns] == [
        ("Order_no", "integer"),
        ("Customer", "string"),
        ("Total", "number"),
        ("Day", "date"),
        ("Paid", "boolean"),
        ("Note", "integer"),
    ]
    assert (contract.hints.skip_lines, contract.hints.sheet) == (1, "Orders")
    assert "Notes" in text


def test_a_list_that_goes_on_is_no_enum() -> None:
    """Half a year's months, or years; a closed list is one, and that is said."""
    months = ("Jan", "Feb", "March")
    rows = "".join(f"{months[n % 3]},Q{n % 3} 2026,{'ab'[n % 2]}\n" for n in range(120))
    contract, text = inferred(f"month,quarter,kind\n{rows}".encode())
    assert [column.enum for column in contract.columns] == [(), (), ("a", "b")]
    assert "Column kind has few values: they are the enum" in text
