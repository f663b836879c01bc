"""A strange CSV to silver, gold and PostgreSQL: by the command alone, five commands a file at most.

The project has a broken contract and a broken query beside: they are nobody else's trouble.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import openpyxl
import psycopg
import pytest
from deltalake import DeltaTable

from devcloud import pidfile

pytestmark = [pytest.mark.slow, pytest.mark.spark, pytest.mark.timeout(1500)]

REPOSITORY = Path(__file__).resolve().parents[2]
TEN_MINUTES = 600.0

ZONES = ("Lenox Hill", '"Upper West, South"', "Astoria")
PAYMENTS = ("credit card", "cash", "")


def trips() -> str:
    """Trips as a taxi authority publishes them: no key, an empty cell, a quoted comma."""
    lines = ["pickup,dropoff,passengers,distance,fare,payment,pickup_zone"]
    for n in range(400):
        hour = f"2026-03-{n % 28 + 1:02} {n % 24:02}"
        lines.append(
            f"{hour}:15:00,{hour}:38:00,{n % 4 + 1},{n % 90 / 10 + 0.4:.1f},{n % 40 + 4.5},"
            f"{PAYMENTS[n % 3]},{ZONES[n % 3]}"
        )
    return "\n".join([*lines, ""])


def stock() -> str:
    """Stock as a German ERP exports it: semicolons, umlauts, names of columns in upper case."""
    lines = ["ARTIKELNR;BEZEICHNUNG;LAGER;MENGE;GEAENDERT"]
    for n in range(250):
        site, day = ("Köln", "Jena")[n % 2], n % 30 + 1
        lines.append(f"{100_000 + n};Türgriff Größe {n % 7};{site};{n % 50};2026-10-{day:02}")
    return "\n".join([*lines, ""])


def survey() -> str:
    """Answers to a survey: a byte order mark, blanks in names, `Yes` and `No`, a free text."""
    lines = ["\ufeffRespondent ID,Age group,Do you like it?,Comment"]
    for n in range(120):
        group, like = ("18-29", "30-44", "45-60")[n % 3], ("Yes", "No")[n % 2]
        lines.append(f'{n + 1},{group},{like},"well, ""{n}"" times"')
    return "\r\n".join([*lines, ""])


def invoices() -> bytes:
    """Invoices as people keep them in Excel: a title, a second sheet, amounts with a euro sign."""
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "Invoices"
    sheet.append(["Invoices of 2026"])
    sheet.append(["Invoice no", "Customer", "Amount", "Paid on"])
    for n in range(80):
        paid = date(2026, 5, n % 28 + 1) if n % 4 else None
        sheet.append([n + 1, f"Customer {n % 9}", f"{n},50 €", paid])
    book.create_sheet("Notes").append(["remember the VAT"])
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


@dataclass
class CommandLine:
    """Runs the command in a folder, as a person would, and counts."""

    folder: Path
    ran: list[str] = field(default_factory=list)

    def __call__(self, *arguments: str, good: bool = True) -> str:
        environment = {k: v for k, v in os.environ.items() if "LANDFALL" not in k}
        ended = subprocess.run(
            [sys.executable, "-c", "from landfall.cli.main import main; main()", *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            env=environment | {"PYTHONPATH": str(REPOSITORY)},
            timeout=TEN_MINUTES,
        )
        self.ran.append(" ".join(arguments))
        assert not good or ended.returncode == 0, f"{arguments}: {ended.stdout}{ended.stderr}"
        return ended.stdout + ended.stderr


@pytest.fixture
def landfall(tmp_path: Path) -> Iterator[CommandLine]:
    """The command in an empty folder, in which nothing is left running."""
    yield CommandLine(tmp_path)
    pidfile.stop(tmp_path / ".landfall")


def test_three_files_of_three_domains(landfall: CommandLine) -> None:
    """Five commands and ten minutes for the first, three commands for each of the others."""
    folder, started = landfall.folder, time.monotonic()
    project = folder / "shop"
    (folder / "taxi.csv").write_text(trips())
    landfall("init", "shop")
    landfall("contract", "infer", "taxi.csv", "--out", "shop/contracts")
    (project / "gold" / "trips_by_zone.sql").write_text(
        "SELECT pickup_zone, count(*) AS trips FROM silver_taxi GROUP BY pickup_zone"
    )
    (project / "contracts" / "broken.odcs.yaml").write_text("kind: DataContract\nschema: [")
    (project / "gold" / "broken.sql").write_text("DELETE FROM silver_taxi")
    (project / "gold" / "no_column.sql").write_text("SELECT nothing FROM silver_taxi")
    up = landfall("up", "--project", "shop", "--detach")
    assert "warning: broken.odcs.yaml" in up
    assert "warning: gold table left out: broken.sql" in up
    dropped = landfall("drop", "taxi.csv", "--dataset", "taxi", "--wait")
    assert "succeeded" in dropped
    assert "Upper West, South" in landfall("gold", "trips_by_zone")
    assert len(landfall.ran) == 5
    assert time.monotonic() - started < TEN_MINUTES

    assert "not built" in landfall("show", "latest")
    assert rows(folder, "silver/taxi") == 400
    assert served(landfall, "SELECT sum(trips) FROM trips_by_zone") == 400

    for file, content, table, statement, expected in (
        (
            "stock.csv",
            stock().encode(),
            "pieces_by_site",
            "SELECT LAGER AS site, sum(MENGE) AS pieces FROM silver_stock GROUP BY LAGER",
            250,
        ),
        (
            "survey.csv",
            survey().encode(),
            "answers",
            "SELECT count(*) AS answers FROM silver_survey",
            120,
        ),
        (
            "invoices.xlsx",
            invoices(),
            "unpaid",
            "SELECT sum(Amount) AS amount FROM silver_invoices WHERE Paid_on IS NULL",
            80,
        ),
    ):
        name = file.partition(".")[0]
        (folder / file).write_bytes(content)
        (project / "gold" / f"{table}.sql").write_text(statement)
        before = len(landfall.ran)
        landfall("contract", "infer", file, "--out", "shop/contracts")
        landfall("drop", file, "--dataset", name, "--wait")
        landfall("gold", table)
        assert len(landfall.ran) - before == 3
        assert rows(folder, f"silver/{name}") == expected
    assert served(landfall, "SELECT sum(pieces) FROM pieces_by_site") == sum(
        n % 50 for n in range(250)
    )
    assert served(landfall, "SELECT answers FROM answers") == 120
    assert served(landfall, "SELECT amount FROM unpaid") == sum(
        n + 0.5 for n in range(80) if n % 4 == 0
    )


def rows(folder: Path, path: str) -> int:
    """How many rows a Delta table of the local lake has."""
    table = DeltaTable(str(folder / ".landfall" / "lake" / path))
    return int(table.to_pyarrow_table(columns=["_run_id"]).num_rows)


def served(landfall: CommandLine, query: str) -> int:
    """A number out of the database that gold is served from."""
    database = json.loads(landfall("env", "--json"))["database"]
    with psycopg.connect(database["url"], options="-c search_path=gold") as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])
