"""Measures what each kind of rule costs on top of a contract that has types alone.

    python -m benchmarks.validate --rules [--rows 300000] [--runs 3]

The file has columns of the common kinds, most of them with as many values as records, because few
values are validated once and cost nothing. Each kind of rule is added to the columns that it is
for, in every record where it is about cells; nothing breaks it. Contracts are measured in turn in
one process, with and without typed Parquet, and the smallest time of each counts.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from landfall.contract.folder import parse
from landfall.contract.model import Contract
from landfall.validation import validate
from landfall.validation.local_files import FileOutputs, FileSource

MOST = 1.25
"""Most that a kind of rule may cost, as a multiple of the contract with types alone."""

_TYPES = {
    "id": "integer",
    "quantity": "integer",
    "amount": "number",
    "price": "number",
    "email": "string",
    "code": "string",
    "country": "string",
    "name": "string",
    "note": "string",
    "day": "date",
    "written": "string",
    "at": "timestamp",
    "local": "timestamp",
    "flag": "boolean",
    "sum": "string",
    "left": "string",
}
_COUNTRIES = ("France", "Italia", "Deutschland", "España", "Österreich")
_Change = Callable[[dict[str, dict[str, Any]], dict[str, Any]], None]


def write_file(path: Path, rows: int) -> None:
    """Write the file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(",".join(_TYPES) + "\n")
        for at in range(rows):
            mixed = at * 0x9E3779B97F4A7C15 % 2**64
            day = f"{2001 + mixed % 20}-{mixed // 32 % 12 + 1:02}-{mixed // 512 % 28 + 1:02}"
            clock = f"{mixed // 7 % 24:02}:{mixed // 77 % 60:02}:{mixed // 777 % 60:02}"
            cells = (
                str(mixed - 2**63),
                str(5 * (mixed % 1_000_000)),
                f"{mixed % 10_000_000 / 100:.2f}",
                f"{mixed % 999_983 / 100:.2f}",
                f"user{at}.x{mixed % 1000}@mail{mixed % 97}.example.com",
                f"AB-{mixed % 10_000_000:07}",
                _COUNTRIES[mixed % 5],
                f"Name {mixed % 9_999_991} ",
                f"some text {mixed % 9_999_973}",
                day,
                f"{day[8:]}.{day[5:7]}.{day[:4]}",
                f"{day}T{clock}Z",
                f"{day}T{clock}+02:00",
                "true" if mixed % 2 else "false",
                f'"{mixed % 900 + 100}.{mixed // 7 % 900 + 100},{mixed % 90 + 10}"',
                "NULL",
            )
            file.write(",".join(cells) + "\n")


def _options(*names: str, **options: Any) -> _Change:
    def change(columns: dict[str, dict[str, Any]], _: dict[str, Any]) -> None:
        for name in names:
            columns[name].setdefault("logicalTypeOptions", {}).update(options)

    return change


def _said(*names: str, **said: Any) -> _Change:
    def change(columns: dict[str, dict[str, Any]], _: dict[str, Any]) -> None:
        for name in names:
            columns[name].update(said)

    return change


def _cleaned(*names: str, type_: str | None = None, **said: Any) -> _Change:
    def change(columns: dict[str, dict[str, Any]], _: dict[str, Any]) -> None:
        for name in names:
            columns[name]["customProperties"] = [
                {"property": key, "value": value} for key, value in said.items()
            ]
            if type_ is not None:
                columns[name]["logicalType"] = type_

    return change


def _key(*names: str) -> _Change:
    def change(columns: dict[str, dict[str, Any]], _: dict[str, Any]) -> None:
        for at, name in enumerate(names):
            columns[name].update(primaryKey=True, primaryKeyPosition=at + 1)

    return change


def _condition(query: str) -> _Change:
    def change(_: dict[str, dict[str, Any]], table: dict[str, Any]) -> None:
        table["quality"] = [
            {"name": "rule", "type": "sql", "query": query, "mustBe": 0, "severity": "error"}
        ]

    return change


_TEXTS = ("email", "code", "country", "name", "note")
RULES: dict[str, _Change] = {
    "required": _said(*(name for name in _TYPES if name != "left"), required=True),
    "bounds of integers": _options("id", "quantity", minimum=-(2**63), maximum=2**63 - 1),
    "bounds of numbers": _options("amount", "price", minimum=0, maximum=1_000_000),
    "bounds of dates": _options("day", minimum="2000-01-01", maximum="2030-01-01"),
    "lengths": _options(*_TEXTS, minLength=1, maxLength=60),
    "list of texts": _said("country", enum=[{"value": value} for value in _COUNTRIES]),
    "multipleOf of integers": _options("quantity", multipleOf=5),
    "multipleOf of numbers": _options("amount", "price", multipleOf=0.01),
    "decimal": _said("amount", "price", physicalType="decimal(12,2)"),
    "pattern": _options("code", pattern="^[A-Z]{2}-[0-9]{7}$"),
    "pattern of any text": _options("note", pattern="[a-z]+ [0-9]"),
    "format email": _options("email", format="email"),
    "format of dates": lambda columns, _: columns["written"].update(
        logicalType="date", logicalTypeOptions={"format": "dd.MM.yyyy"}
    ),
    "key of an integer": _key("id"),
    "key of a text": _key("email"),
    "key of integer and text": _key("id", "code"),
    "key of integer and date": _key("id", "day"),
    "key of text and timestamp": _key("email", "at"),
    "unique": _said("id", "email", unique=True),
    "trim, in each record": _cleaned("name", trim=True),
    "trim of all texts": _cleaned(*_TEXTS, trim=True),
    "missing values, in each record": _cleaned("left", missingValues=["NULL", "N/A"]),
    "case, in each record": _cleaned("name", "email", case="upper"),
    "separators, in each record": _cleaned(
        "sum", type_="number", decimalSeparator=",", thousandsSeparator="."
    ),
    "condition over rows": _condition(
        "SELECT COUNT(*) FROM t WHERE quantity < 0 OR (amount < 0 AND price > 5)"
    ),
    "condition with LIKE": _condition("SELECT COUNT(*) FROM t WHERE note LIKE '%nothing%'"),
}
"""What is added to the contract, by kind of rule."""


def contract_with(change: _Change | None) -> Contract:
    """Return the contract with types alone, changed."""
    columns: dict[str, dict[str, Any]] = {
        name: {"name": name, "logicalType": kind} for name, kind in _TYPES.items()
    }
    table: dict[str, Any] = {"name": "t"}
    if change is not None:
        change(columns, table)
    document = {
        "apiVersion": "v3.2.0",
        "kind": "DataContract",
        "id": "t",
        "version": "1.0.0",
        "status": "active",
        "schema": [{**table, "properties": list(columns.values())}],
        "customProperties": [{"property": "delimiter", "value": ","}],
    }
    return parse(json.dumps(document), file="t")


def seconds(path: Path, contract: Contract, accepted: Path | None) -> float:
    """Return the processor's seconds of one validation."""
    began = time.process_time()
    outputs = FileOutputs(accepted=accepted)
    report = validate(FileSource(path), contract, name="t.csv", outputs=outputs)
    took = time.process_time() - began
    if report.verdict != "accepted":
        raise SystemExit(f"the file is {report.verdict}: {report.problem} {report.checks[:3]}")
    return took


def measure(folder: Path, rows: int, runs: int) -> dict[str, tuple[float, float]]:
    """Return the cost of each kind of rule: of the verdict, and with typed Parquet."""
    path, accepted = folder / "rules.csv", folder / "rules.parquet"
    write_file(path, rows)
    contracts = {name: contract_with(change) for name, change in RULES.items()}
    plain = contract_with(None)
    costs: dict[str, tuple[float, float]] = {}
    seconds(path, plain, accepted)
    for name, contract in contracts.items():
        pairs = []
        for output in (None, accepted):
            # A kind of rule and none in turn: what else the machine does hits both.
            taken = [
                (seconds(path, plain, output), seconds(path, contract, output)) for _ in range(runs)
            ]
            pairs.append(min(rule for _, rule in taken) / min(base for base, _ in taken))
        costs[name] = (pairs[0], pairs[1])
    path.unlink()
    accepted.unlink()
    return costs
