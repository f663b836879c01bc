"""Gold tables: which there are of a dataset, and the SQL that defines each."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

# The name by which a gold statement reads the silver table of a dataset.
VIEW = "silver_{dataset}"

TABLES: Mapping[str, Sequence[str]] = {
    "users": ("buyers_by_country", "top_seller_countries", "sellers_compared"),
}


@dataclass(frozen=True)
class Definition:
    """A gold table: `sql` is one SELECT whose leading comment says grain and meaning."""

    name: str
    sql: str

    @property
    def path(self) -> str:
        """Its lake path."""
        return f"gold/{self.name}"

    @property
    def digest(self) -> str:
        """Changes when the definition does: what was built by another is built again."""
        return hashlib.sha256(self.sql.encode()).hexdigest()[:16]


def definitions(dataset: str) -> list[Definition]:
    """The gold tables that are built from a dataset; none where nobody has defined any."""
    folder = files("spark_jobs") / "sql"
    return [
        Definition(name, (folder / f"{name}.sql").read_text(encoding="utf-8"))
        for name in TABLES.get(dataset, ())
    ]
