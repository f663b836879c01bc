"""Gold tables of a team's folder: `gold/<table>.sql`, one SELECT, and `gold/<table>.yaml` about it.

A statement reads the silver table of a dataset as `silver_<dataset>` and another gold table as
`gold_<table>`. The YAML file is optional; without it the table is built as a whole whenever one of
the tables that it reads has changed. Its fields:

    description: text for readers and for the catalog
    grain: what one row is
    sources: [orders, products, gold/sales_by_day]     checked against the statement
    refresh: whole                                     or by parts:
    refresh:
      by: day                                          a column of the table; its values are parts
      expression: CAST(ordered_at AS DATE)             what makes a part, in ...
      dataset: orders                                  ... the silver of this dataset

A table that is refreshed by parts has a second statement, `<table>.touched.sql`: it gives the parts
that changed rows reach, in one column of the same name, and reads them as `changed_<dataset>`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import yaml

SCHEMA = 1
SUFFIX = ".sql"
TOUCHED_SUFFIX = ".touched.sql"
LARGEST_FILE = 1 << 20
"""Bytes of a statement at most."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_FIELDS = frozenset({"description", "grain", "sources", "refresh"})
_PARTS_FIELDS = frozenset({"by", "expression", "dataset"})
_TOKENS = re.compile(
    r"--[^\n]*|/\*.*?\*/"  # comments
    r"|'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.)*\""  # literals
    r"|\b(?P<layer>silver|gold|changed)_(?P<name>\w+)",
    re.DOTALL,
)


class GoldError(ValueError):
    """A gold table of the team's folder is wrong.

    Attributes:
        file: name of the file; place: where in it, or ""; reason: what is wrong there.
    """

    def __init__(self, file: str, place: str, reason: str) -> None:
        super().__init__(f"{file}: {place}: {reason}" if place else f"{file}: {reason}")
        self.file = file
        self.place = place
        self.reason = reason


@dataclass(frozen=True)
class GoldParts:
    """How a table is refreshed by parts.

    Attributes:
        column: of the gold table; its values are the parts.
        expression, dataset: what makes a part, in which dataset's silver.
        touched: a SELECT that gives the parts that changed rows reach.
    """

    column: str
    expression: str
    dataset: str
    touched: str


@dataclass(frozen=True)
class GoldTable:
    """A gold table.

    Attributes:
        sql: one SELECT.
        datasets: whose silver it reads.
        tables: other gold tables that it reads.
        description, grain: for readers; may be empty.
    """

    name: str
    sql: str
    datasets: tuple[str, ...]
    tables: tuple[str, ...] = ()
    description: str = ""
    grain: str = ""
    parts: GoldParts | None = None

    @property
    def file(self) -> str:
        """The name of its statement's file."""
        return f"{self.name}{SUFFIX}"


@dataclass(frozen=True)
class GoldFolder:
    """The gold tables of a folder that can be built, and what is wrong with the others.

    `deleted` has, by dataset, the column that says that a row was deleted: statements see no such
    rows.
    """

    tables: tuple[GoldTable, ...] = ()
    problems: tuple[GoldError, ...] = ()
    deleted: Mapping[str, str] = field(default_factory=dict)

    def document(self) -> bytes:
        """The tables as the jobs read them: JSON, the same bytes for the same tables."""
        tables = [asdict(table) for table in self.tables]
        document: dict[str, Any] = {"schema": SCHEMA, "tables": tables}
        if self.deleted:
            document["deleted"] = dict(self.deleted)
        return json.dumps(document, indent=1, sort_keys=True).encode()

    @property
    def digest(self) -> str:
        """Changes when one of the tables does."""
        return hashlib.sha256(self.document()).hexdigest()[:16]


def read_gold(folder: Path, datasets: Collection[str]) -> GoldFolder:
    """Read the gold tables of a folder; a wrong one is a problem of its own.

    A table that reads one with a problem has a problem too: it could not be built.

    Args:
        folder: of the `.sql` and `.yaml` files; one that does not exist has none.
        datasets: those that have a contract.
    """
    tables: dict[str, GoldTable] = {}
    problems: list[GoldError] = []
    files = {path.name: path for path in sorted(folder.glob("*")) if path.is_file()}
    statements = [n for n in files if n.endswith(SUFFIX) and not n.endswith(TOUCHED_SUFFIX)]
    for name in statements:
        try:
            table = _read_table(name.removesuffix(SUFFIX), files)
            tables[table.name] = table
        except GoldError as error:
            problems.append(error)
    problems += _lone_files(files, {name.removesuffix(SUFFIX) for name in statements})
    while wrong := _unreadable_sources(tables, datasets):
        problems += wrong
        for problem in wrong:
            tables.pop(problem.file.removesuffix(SUFFIX), None)
    return GoldFolder(tuple(_in_order(tables)), tuple(problems))


def _read_table(name: str, files: Mapping[str, Path]) -> GoldTable:
    file = f"{name}{SUFFIX}"
    if not _NAME.fullmatch(name):
        raise GoldError(
            file,
            "",
            f"{name!r} is no name for a gold table: up to 63 of a-z, 0-9 and _, a letter first",
        )
    sql = _statement(files[file])
    datasets, tables = _sources(sql)
    yaml_file = f"{name}.yaml"
    about = _about(files[yaml_file]) if yaml_file in files else {}
    if not datasets and not tables:
        raise GoldError(file, "", "reads neither silver_<dataset> nor gold_<table>")
    if name in tables:
        raise GoldError(file, "", f"reads gold_{name}, which is the table itself")
    if "sources" in about:
        _check_sources(yaml_file, about["sources"], datasets, tables)
    parts = _parts(name, about.get("refresh", "whole"), files, datasets, tables)
    return GoldTable(
        name,
        sql,
        datasets,
        tables,
        _text(yaml_file, about, "description"),
        _text(yaml_file, about, "grain"),
        parts,
    )


def _statement(path: Path) -> str:
    """The text of one SELECT.

    Raises:
        GoldError: it is something else.
    """
    if path.stat().st_size > LARGEST_FILE:
        raise GoldError(path.name, "", f"has more than {LARGEST_FILE:,} bytes")
    try:
        sql = path.read_text(encoding="utf-8").strip().removesuffix(";").rstrip()
    except UnicodeDecodeError as error:
        raise GoldError(path.name, f"byte {error.start + 1}", "is not UTF-8") from None
    bare = _TOKENS.sub(lambda match: match[0] if match["layer"] else " ", sql)
    first = bare.split(maxsplit=1)[0].upper() if bare.split() else ""
    if first not in {"SELECT", "WITH", "(", "VALUES", "FROM"} and not first.startswith("("):
        raise GoldError(path.name, "line 1", f"begins with {first!r}: it must be one SELECT")
    if ";" in bare:
        line = _line_of(sql, ";")
        raise GoldError(path.name, f"line {line}", "has a second statement: it must be one SELECT")
    return sql


def _line_of(sql: str, character: str) -> int:
    """The line of the first occurrence of a character outside of comments and literals."""
    blank = _TOKENS.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), sql)
    return blank[: blank.index(character)].count("\n") + 1


def _sources(sql: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The datasets and the gold tables that a statement reads, in its order."""
    names: dict[str, dict[str, None]] = {"silver": {}, "gold": {}, "changed": {}}
    for match in _TOKENS.finditer(sql):
        if match["layer"]:
            names[match["layer"]][match["name"]] = None
    return tuple(names["silver"]), tuple(names["gold"])


def _about(path: Path) -> Mapping[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}" if mark else ""
        raise GoldError(path.name, place, getattr(error, "problem", None) or str(error)) from None
    if not isinstance(document, dict):
        raise GoldError(path.name, "", f"must have the fields {', '.join(sorted(_FIELDS))}")
    for name in document:
        if name not in _FIELDS:
            known = ", ".join(sorted(_FIELDS))
            raise GoldError(path.name, str(name), f"is not a field of a gold table: {known}")
    return document


def _text(file: str, about: Mapping[str, Any], name: str) -> str:
    value = about.get(name, "")
    if not isinstance(value, str):
        raise GoldError(file, name, f"must be text, is {value!r}")
    return value.strip()


def _check_sources(
    file: str, listed: object, datasets: tuple[str, ...], tables: tuple[str, ...]
) -> None:
    """Check that the YAML names what the statement reads."""
    if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
        raise GoldError(file, "sources", "must be a list of datasets and gold/<table>")
    read = {*datasets, *(f"gold/{table}" for table in tables)}
    if missing := sorted(read - set(listed)):
        raise GoldError(file, "sources", f"lacks {', '.join(missing)}, which the statement reads")
    if surplus := sorted(set(listed) - read):
        raise GoldError(file, "sources", f"has {', '.join(surplus)}, which it does not read")


def _parts(
    name: str,
    refresh: object,
    files: Mapping[str, Path],
    datasets: tuple[str, ...],
    tables: tuple[str, ...],
) -> GoldParts | None:
    yaml_file, touched_file = f"{name}.yaml", f"{name}{TOUCHED_SUFFIX}"
    if refresh == "whole":
        if touched_file in files:
            raise GoldError(touched_file, "", f"has no use: {yaml_file} does not refresh by parts")
        return None
    if not isinstance(refresh, dict) or refresh.keys() != _PARTS_FIELDS:
        expected = "must be `whole`, or have the fields by, expression and dataset"
        raise GoldError(yaml_file, "refresh", expected)
    by, expression, dataset = (str(refresh[field]) for field in ("by", "expression", "dataset"))
    if dataset not in datasets:
        raise GoldError(yaml_file, "refresh.dataset", f"is {dataset!r}, which it does not read")
    if tables:
        raise GoldError(yaml_file, "refresh", "must be `whole` where other gold tables are read")
    if touched_file not in files:
        raise GoldError(yaml_file, "refresh", f"needs {touched_file}")
    return GoldParts(by, expression, dataset, _statement(files[touched_file]))


def _lone_files(files: Iterable[str], names: Collection[str]) -> list[GoldError]:
    """Files without a statement: of a table that was renamed, or with another suffix."""
    lone = []
    for file in files:
        for suffix in (TOUCHED_SUFFIX, ".yaml"):
            stem = file.removesuffix(suffix)
            if file.endswith(suffix) and stem not in names:
                lone.append(GoldError(file, "", f"stands alone: there is no {stem}{SUFFIX}"))
    return lone


def _unreadable_sources(
    tables: Mapping[str, GoldTable], datasets: Collection[str]
) -> list[GoldError]:
    """The tables that read what does not exist, or each other in a circle."""
    wrong = []
    for table in tables.values():
        unknown = [f"dataset {each}" for each in table.datasets if each not in datasets]
        unknown += [f"gold table {each}" for each in table.tables if each not in tables]
        if unknown:
            reason = f"reads {' and '.join(unknown)}, which does not exist or cannot be built"
            wrong.append(GoldError(table.file, "", reason))
    if wrong:
        return wrong
    try:
        TopologicalSorter({each.name: each.tables for each in tables.values()}).prepare()
    except CycleError as error:
        circle = error.args[1]
        way = " -> ".join(circle)
        return [
            GoldError(tables[name].file, "", f"tables read each other in a circle: {way}")
            for name in sorted(set(circle))
        ]
    return []


def _in_order(tables: Mapping[str, GoldTable]) -> list[GoldTable]:
    """Each table after those that it reads, else by name."""
    sorter = TopologicalSorter({name: tables[name].tables for name in sorted(tables)})
    return [tables[name] for name in sorter.static_order()]
