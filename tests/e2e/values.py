"""Files whose cells were once changed, lost or refused on their way, each with its contract.

One dataset each; what its silver table has to hold is written beside the file that it comes from.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl

Row = tuple[Any, ...]


@dataclass(frozen=True)
class ValueCase:
    """A file, its contract, and the rows of silver in the order of the contract's columns.

    `columns` are properties of the contract by their name; `custom` its custom properties.
    `rejected` is how many records are rejected.
    """

    file: str
    data: bytes
    columns: Mapping[str, Mapping[str, Any]]
    rows: Sequence[Row]
    custom: Mapping[str, Any] = field(default_factory=dict)
    rejected: int = 0

    def contract(self, dataset: str) -> str:
        """The contract of the case under the name of a dataset; JSON is YAML too."""
        properties = [{"name": name, **options} for name, options in self.columns.items()]
        document = {
            "apiVersion": "v3.2.0",
            "kind": "DataContract",
            "id": dataset,
            "version": "1.0.0",
            "status": "active",
            "schema": [{"name": dataset, "properties": properties}],
            "customProperties": [
                {"property": name, "value": value} for name, value in self.custom.items()
            ],
        }
        return json.dumps(document)


ID = {"logicalType": "integer", "primaryKey": True}
INTEGER, NUMBER, STRING = ({"logicalType": kind} for kind in ("integer", "number", "string"))


def moment(kind: str, pattern: str | None = None) -> dict[str, Any]:
    """A column of dates or times in a format."""
    options = {} if pattern is None else {"logicalTypeOptions": {"format": pattern}}
    return {"logicalType": kind, **options}


def parquet(**columns: Any) -> bytes:
    """A Parquet file of these columns."""
    file = io.BytesIO()
    pl.DataFrame(columns).write_parquet(file)
    return file.getvalue()


def lines(*records: Mapping[str, Any]) -> bytes:
    """JSON Lines."""
    return "".join(json.dumps(record) + "\n" for record in records).encode()


DECIMAL = {"logicalType": "number", "physicalType": "decimal(38,2)"}
AMOUNTS = [
    Decimal("12345678901234567.89"),
    Decimal("12345678901234568.00"),
    Decimal("-999999999999999999999999999999999999.99"),
]
KEYS = ["a", "a ", " a", "\ta", "a\u00a0", "\ufeffa"]
EVENTS = "kind,n\nclick,1\nclick,1\nview,\n"

CASES: dict[str, ValueCase] = {
    "keys_and_blanks": ValueCase(
        "x.csv",
        ("k,v\n" + "".join(f'"{key}",{at}\n' for at, key in enumerate(KEYS))).encode(),
        {"k": {"logicalType": "string", "primaryKey": True}, "v": INTEGER},
        [(key, at) for at, key in enumerate(KEYS)],
    ),
    "backslashes": ValueCase(
        "x.csv",
        b'id,path\n1,C:\\temp\\new\n2,"a\\"b\\\\c"\n3,a\\\n',
        {"id": ID, "path": STRING},
        [(1, "C:\\temp\\new"), (2, 'a"b\\c'), (3, "a\\")],
        {"escape": "\\"},
    ),
    "days_with_an_offset": ValueCase(
        "x.csv",
        b"id,born\n1,1990-05-01+02:00\n2,1990-05-01-11:00\n3,0001-01-01Z\n4,9999-12-31+14:00\n",
        {"id": ID, "born": moment("date", "yyyy-MM-ddXXX")},
        [(1, date(1990, 5, 1)), (2, date(1990, 5, 1)), (3, date(1, 1, 1)), (4, date(9999, 12, 31))],
    ),
    "names_with_a_backslash": ValueCase(
        "x.jsonl",
        lines({"id": 1, "in\\out": 5}, {"in\\out": 7, "id": 2}),
        {"id": ID, "in\\out": INTEGER},
        [(1, 5), (2, 7)],
    ),
    "texts_that_spell_days": ValueCase(
        "x.parquet",
        parquet(id=[1, 2], d=["03.04.2026", None]),
        {"id": ID, "d": moment("date", "dd.MM.yyyy")},
        [(1, date(2026, 4, 3)), (2, None)],
        {"drift": {"changedTypes": "evolve"}},
    ),
    "utf16_without_a_mark": ValueCase(
        "x.csv",
        "id,s\n1,été\n2,東京\n".encode("utf-16-le"),
        {"id": ID, "s": STRING},
        [(1, "été"), (2, "東京")],
        {"encoding": "UTF-16LE"},
    ),
    "letters_in_a_format": ValueCase(
        "x.csv",
        "id,d\n1,2024年03月01日\n".encode(),
        {"id": ID, "d": moment("date", "yyyy'年'MM'月'dd'日'")},
        [(1, date(2024, 3, 1))],
    ),
    "nothing_left_of_json": ValueCase(
        "x.jsonl",
        lines({"id": "x", "s": "a"}, {"id": None, "s": "b"}),
        {"id": ID, "s": STRING},
        [],
        {"maxRejectedRatio": 1},
        rejected=2,
    ),
    "nothing_left_of_parquet": ValueCase(
        "x.parquet",
        parquet(id=pl.Series([None, None], dtype=pl.Int64), s=["a", "b"]),
        {"id": ID, "s": STRING},
        [],
        {"maxRejectedRatio": 1},
        rejected=2,
    ),
    "bad_byte_beside": ValueCase(
        "x.csv",
        b"id,s,note\n1,a,caf\xe9\n2,b,\n",
        {"id": ID, "s": STRING},
        [(1, "a"), (2, "b")],
    ),
    "json_array": ValueCase(
        "x.json.gz",
        gzip.compress(b'[{"id": 1, "s": ""}, {"id": 2, "s": " x "},\n {"id": 3}]'),
        {"id": ID, "s": STRING},
        [(1, ""), (2, " x "), (3, None)],
    ),
    "instants": ValueCase(
        "x.csv",
        b"id,at\n1,2024-03-10T14:22:35.123456+02:00\n2,0001-01-01T00:00:00Z\n"
        b"3,9999-12-31T23:59:59.999999Z\n",
        {"id": ID, "at": moment("timestamp")},
        [
            (1, datetime(2024, 3, 10, 12, 22, 35, 123_456, UTC)),
            (2, datetime(1, 1, 1, tzinfo=UTC)),
            (3, datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC)),
        ],
    ),
    "finer_than_microseconds": ValueCase(
        "x.csv",
        b"id,at\n1,2024-03-10T14:22:35.1234560Z\n2,2024-03-10T14:22:35.1234567Z\n",
        {"id": ID, "at": moment("timestamp")},
        [(1, datetime(2024, 3, 10, 14, 22, 35, 123_456, UTC))],
        {"maxRejectedRatio": 0.5},
        rejected=1,
    ),
    "decimals": ValueCase(
        "x.parquet",
        parquet(n=pl.Series(AMOUNTS, dtype=pl.Decimal(38, 2)), v=[1, 2, 3]),
        {"n": DECIMAL | {"primaryKey": True}, "v": INTEGER},
        list(zip(AMOUNTS, (1, 2, 3), strict=True)),
    ),
    "decimals_in_text": ValueCase(
        "x.csv",
        ("v,n\n" + "".join(f"{at},{amount}\n" for at, amount in enumerate(AMOUNTS))).encode(),
        {"v": ID, "n": DECIMAL},
        list(enumerate(AMOUNTS)),
    ),
    "beyond_doubles": ValueCase(
        "x.parquet",
        parquet(id=[1, 2], n=[2**53, 2**53 + 1]),
        {"id": ID, "n": NUMBER},
        [(1, float(2**53))],
        {"maxRejectedRatio": 0.5},
        rejected=1,
    ),
    "form_feeds": ValueCase(
        "x.jsonl",
        lines({"id": 1}) + b"\f\n" + lines({"id": 2}),
        {"id": ID},
        [(1,), (2,)],
        {"maxRejectedRatio": 0.5},
        rejected=1,
    ),
    "no_key": ValueCase(
        "x.csv",
        EVENTS.encode(),
        {"kind": STRING, "n": INTEGER},
        [("click", 1), ("click", 1), ("view", None)],
    ),
}
