"""Gold tables: which there are, what each is built from, and the SQL that defines it.

Each is one file of `sql/`, a SELECT whose leading comment is for readers and has three fields for
the job: `Built from:` the datasets it reads, `Refresh:` whether it is made anew as a whole or by
parts, `Grain:` what one row is. A statement reads the silver of a dataset as `silver_<dataset>`.

Refreshed by parts means: `Refresh: by <column>, which is <expression> of <dataset>`. A second file,
`<name>.touched.sql`, then finds the values of that column which changed rows reach.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files

# The names by which a statement reads the silver table of a dataset, and its rows that changed.
VIEW = "silver_{dataset}"
CHANGED_VIEW = "changed_{dataset}"

_TOUCHED = ".touched.sql"
_PARTS = re.compile(r"by (\w+), which is (.+?) of (\w+)[;.]?(?: |$)")


@dataclass(frozen=True)
class GoldParts:
    """How a table is refreshed by parts.

    Attributes:
        column: of the gold table; its values are the parts.
        expression, dataset: what in which dataset's silver it is made from.
        touched: a SELECT that gives the parts that changed rows reach, in the one column `column`.
    """

    column: str
    expression: str
    dataset: str
    touched: str


@dataclass(frozen=True)
class GoldDefinition:
    """A gold table: `sql` is one SELECT, its comment included; `touched` finds touched parts."""

    name: str
    sql: str
    touched: str = ""

    @property
    def path(self) -> str:
        """Its lake path."""
        return f"gold/{self.name}"

    @property
    def digest(self) -> str:
        """Changes when the definition does: what was built by another is built again."""
        return hashlib.sha256(f"{self.sql}{self.touched}".encode()).hexdigest()[:16]

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """The datasets that it is built from."""
        return tuple(name.strip() for name in self.comment_field("Built from").split(","))

    @cached_property
    def parts(self) -> GoldParts | None:
        """How it is refreshed by parts; None where it is always made as a whole."""
        match = _PARTS.match(self.comment_field("Refresh"))
        return GoldParts(match[1], match[2], match[3], self.touched) if match else None

    def comment_field(self, what: str) -> str:
        """Return the text after `what:` in the leading comment, up to the next field.

        Raises:
            ValueError: the comment has no such field.
        """
        lines = [line[3:] for line in self.head]
        for number, line in enumerate(lines):
            if line.startswith(f"{what}: "):
                rest = lines[number + 1 :]
                more = next((n for n, each in enumerate(rest) if re.match(r"[A-Z*]", each)), None)
                return " ".join([line.removeprefix(f"{what}: "), *rest[:more]])
        raise ValueError(f"sql/{self.name}.sql does not say '{what}:' at its head")

    @property
    def head(self) -> list[str]:
        """The lines of the leading comment."""
        lines = self.sql.splitlines()
        return lines[: next(n for n, line in enumerate(lines) if not line.startswith("--"))]


def definitions(dataset: str | None = None) -> list[GoldDefinition]:
    """The gold tables that are built from a dataset, or all; by name."""
    return [each for each in _all() if dataset is None or dataset in each.sources]


def _all() -> Iterator[GoldDefinition]:
    folder = files("spark_jobs") / "sql"
    sql_files = {entry.name: entry for entry in folder.iterdir() if entry.name.endswith(".sql")}
    for name in sorted(sql_files):
        if not name.endswith(_TOUCHED):
            stem = name.removesuffix(".sql")
            touched = sql_files.get(stem + _TOUCHED)
            yield GoldDefinition(
                stem,
                sql_files[name].read_text(encoding="utf-8"),
                touched.read_text(encoding="utf-8") if touched else "",
            )
