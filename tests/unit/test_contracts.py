"""Contracts: reading documents of the standard, and errors with place and reason."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from landfall.authoring.lint import lint
from landfall.contract.folder import Contract, ContractError, Hints, load_folder, parse

FOLDER = Path(__file__).resolve().parents[2] / "marketplace" / "contracts"


def document(*properties: dict[str, Any], **root: Any) -> str:
    """A contract of one table `t` with `properties`; `root` adds to or replaces the rest."""
    root_fields: dict[str, Any] = {
        "apiVersion": "v3.2.0",
        "kind": "DataContract",
        "id": "t",
        "version": "1.0.0",
        "status": "active",
        "schema": [{"name": "t", "properties": list(properties)}],
    } | root
    return yaml.safe_dump(root_fields)


def column(logical_type: str = "string", **more: Any) -> dict[str, Any]:
    """A property called `c`."""
    return {"name": "c", "logicalType": logical_type} | more


def read(*properties: dict[str, Any], **root: Any) -> Contract:
    """Parse a contract of `properties`."""
    return parse(document(*properties, **root), file="t.odcs.yaml")


def refusal(*properties: dict[str, Any], **root: Any) -> ContractError:
    """The error that such a contract raises."""
    with pytest.raises(ContractError) as caught:
        read(*properties, **root)
    return caught.value


def test_committed_contracts_are_read() -> None:
    """Each table of the marketplace, and the partner shop's, has a contract named after it."""
    contracts = load_folder(FOLDER)

    assert sorted(contracts) == [
        "buyers_by_country",
        "interactions",
        "objections",
        "online_retail",
        "order_lines",
        "orders",
        "parcels",
        "products",
        "sellers_compared",
        "top_seller_countries",
        "users",
    ]
    widths = [len(contracts[name].columns) for name in sorted(contracts)]
    assert widths == [32, 6, 3, 8, 8, 12, 6, 14, 19, 26, 24]
    assert contracts["order_lines"].key == ("order_id", "line_number")
    assert contracts["users"].key == ("identifierHash",)
    assert contracts["sellers_compared"].key == ("country", "sex")
    assert not contracts["sellers_compared"].column("country").required


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.odcs.yaml")), ids=lambda path: path.name)
def test_committed_contracts_agree_with_the_standards_model(path: Path) -> None:
    """The standard's own model reads every field of them."""
    assert lint(path.read_text(encoding="utf-8"), file=path.name).version


@pytest.mark.parametrize("version", ["v3.0.0", "v3.0.2", "v3.1.0", "v3.2.0"])
def test_versions_of_the_standard(version: str) -> None:
    """Every 3.x up to today's is read."""
    assert read(column(), apiVersion=version).dataset == "t"


def test_column_options_reach_the_model() -> None:
    """What the contract says of a column is what the column holds."""
    contract = read(
        column(
            "integer",
            logicalTypeOptions={"format": "u8", "minimum": 3, "exclusiveMaximum": 9},
            required=True,
            enum=[{"value": 4}, {"value": 5, "label": "five"}],
            classification="restricted",
        )
    )

    parsed = contract.column("c")
    assert (parsed.format, parsed.minimum, parsed.exclusive_maximum) == ("u8", 3, 9)
    assert parsed.enum == (4, 5)
    assert parsed.masked
    assert parsed.required


def test_key_columns_are_required_unless_said_otherwise() -> None:
    """A key without a value identifies nothing; a contract may say that it may be empty."""
    contract = read(
        {"name": "a", "logicalType": "string", "primaryKey": True, "primaryKeyPosition": 2},
        {
            "name": "b",
            "logicalType": "string",
            "primaryKey": True,
            "primaryKeyPosition": 1,
            "required": False,
        },
    )

    assert contract.key == ("b", "a")
    assert [c.required for c in contract.columns] == [True, False]


def test_table() -> None:
    """The batch's table names every column with its type."""
    contract = read(
        {"name": "id", "logicalType": "integer", "primaryKey": True},
        {"name": "at", "logicalType": "timestamp"},
    )

    assert contract.table() == {
        "key": ["id"],
        "columns": [
            {"name": "id", "type": "integer", "required": True},
            {"name": "at", "type": "timestamp", "required": False},
        ],
    }
    assert not contract.history


def test_table_says_what_silver_enforces_keeps_and_looks_up() -> None:
    """Ranges, allowed values, history and references come along, where the contract has them."""
    contract = read(
        {"name": "id", "logicalType": "integer", "primaryKey": True},
        column("number", logicalTypeOptions={"minimum": 0, "exclusiveMaximum": 1.5}),
        {
            "name": "day",
            "logicalType": "date",
            "logicalTypeOptions": {"minimum": "2020-01-01"},
            "enum": [{"value": "2020-01-01"}],
        },
        {
            "name": "at",
            "logicalType": "timestamp",
            "logicalTypeOptions": {"maximum": "2030-01-01T00:00:00"},
        },
        {"name": "kind", "logicalType": "string", "enum": [{"value": "a"}, {"value": "b"}]},
        {"name": "of", "logicalType": "integer", "relationships": [{"to": "other.id"}]},
        {"name": "hour", "logicalType": "time", "logicalTypeOptions": {"maximum": "12:00:00"}},
        customProperties=[{"property": "history", "value": "scd2"}],
    )

    table = contract.table()

    constraints = [
        {k: v for k, v in c.items() if k not in ("type", "required")} for c in table["columns"]
    ]
    assert constraints == [
        {"name": "id"},
        {"name": "c", "minimum": 0, "exclusiveMaximum": 1.5},
        {"name": "day", "minimum": "2020-01-01", "enum": ["2020-01-01"]},
        {"name": "at", "maximum": "2030-01-01T00:00:00+00:00"},
        {"name": "kind", "enum": ["a", "b"]},
        {"name": "of"},
        {"name": "hour"},
    ]
    assert table["history"] is True
    assert table["references"] == [{"columns": ("of",), "dataset": "other", "to": ("id",)}]
    assert json.loads(json.dumps(table))["references"][0]["to"] == ["id"]


def test_history_needs_a_key() -> None:
    """What has no key has no versions; another word than the two is refused."""
    error = refusal(column(), customProperties=[{"property": "history", "value": "scd2"}])
    assert "without a primary key" in error.reason
    error = refusal(column(), customProperties=[{"property": "history", "value": "scd3"}])
    assert "none, scd2" in error.reason


def test_hints_come_from_servers_and_our_own_properties() -> None:
    """Encoding and format are the server's to say; what the standard lacks is ours."""
    contract = read(
        column(),
        servers=[
            {
                "server": "s",
                "type": "azure",
                "location": "az://x",
                "format": "csv",
                "encoding": "ISO-8859-1",
            }
        ],
        customProperties=[
            {"property": "delimiter", "value": ";"},
            {"property": "escape", "value": "\\"},
            {"property": "maxRejectedRatio", "value": 0.25},
            {"property": "trueValues", "value": ["TRUE"]},
            {"property": "anything", "value": 1, "vendor": "other"},
        ],
    )

    assert contract.max_rejected_ratio == 0.25
    assert contract.hints == Hints(kind="csv", delimiter=";", escape="\\", encoding="latin-1")
    assert {c.cleaning.true_values for c in contract.columns if c.logical_type == "boolean"} <= {
        ("TRUE",)
    }


def _root(**more: Any) -> tuple[tuple[dict[str, Any], ...], dict[str, Any]]:
    return (column(),), more


def _column(*args: Any, **more: Any) -> tuple[tuple[dict[str, Any], ...], dict[str, Any]]:
    return (column(*args, **more),), {}


REFUSED = {
    "old version": (_root(apiVersion="v2.2.2"), "apiVersion", "v3.2.0"),
    "unknown key": (_root(colour="red"), "colour", "not in the standard"),
    "no version": (_root(version=None), "version", "missing"),
    "unknown custom property": (
        _root(customProperties=[{"property": "maxRejected", "value": 1}]),
        "customProperties[0].property",
        "maxRejectedRatio",
    ),
    "ratio over 1": (
        _root(customProperties=[{"property": "maxRejectedRatio", "value": 5}]),
        "customProperties[0].value",
        "between 0 and 1",
    ),
    "a word that is true and false": (
        (
            (column("boolean"),),
            {
                "customProperties": [
                    {"property": "trueValues", "value": ["oui", "si"]},
                    {"property": "falseValues", "value": ["non", "si"]},
                ]
            },
        ),
        "customProperties[0].value",
        "'si'",
    ),
    "no columns": (((), {}), "schema[0].properties", "at least one"),
    "nested type": (_column("object"), "schema[0].properties[0].logicalType", "object"),
    "option of another type": (
        _column("integer", logicalTypeOptions={"pattern": "x"}),
        "schema[0].properties[0].logicalTypeOptions.pattern",
        "not in the standard",
    ),
    "too wide an integer": (
        _column("integer", logicalTypeOptions={"format": "u64"}),
        "schema[0].properties[0].logicalTypeOptions.format",
        "u64",
    ),
    "broken pattern": (
        _column(logicalTypeOptions={"pattern": "(a"}),
        "schema[0].properties[0].logicalTypeOptions.pattern",
        "not a regular expression",
    ),
    "pattern letter": (
        _column("date", logicalTypeOptions={"format": "EEE dd"}),
        "schema[0].properties[0].logicalTypeOptions.format",
        "EEE",
    ),
    "bound that is no date": (
        _column("date", logicalTypeOptions={"minimum": "2024-02-30"}),
        "schema[0].properties[0].logicalTypeOptions.minimum",
        "no date",
    ),
    "crossed bounds": (
        _column("number", logicalTypeOptions={"minimum": 2, "maximum": 1}),
        "schema[0].properties[0].logicalTypeOptions",
        "no value could pass",
    ),
    "number in an enum of text": (
        _column(enum=[{"value": 1}]),
        "schema[0].properties[0].enum[0].value",
        "quotes",
    ),
    "empty enum": (_column(enum=[]), "schema[0].properties[0].enum", "empty"),
    "quality rule of another tool": (
        _column(quality=[{"type": "custom", "engine": "soda", "implementation": "x"}]),
        "schema[0].properties[0].quality[0]",
        "another tool",
    ),
    "relationship to itself": (
        _column(relationships=[{"to": "t.c"}]),
        "schema[0].properties[0].relationships[0].to",
        "refers to the table itself",
    ),
    "relationship without a column": (
        _column(relationships=[{"to": "users"}]),
        "schema[0].properties[0].relationships[0].to",
        "written table.column",
    ),
    "relationship of another kind": (
        _column(relationships=[{"to": "x.y", "type": "oneToMany"}]),
        "schema[0].properties[0].relationships[0].type",
        "supported: foreignKey",
    ),
    "an empty physical name": (
        _column(physicalName=""),
        "schema[0].properties[0].physicalName",
        "is empty",
    ),
    "measure": (
        _column(semanticType="measure"),
        "schema[0].properties[0].semanticType",
        "column",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_unsupported_contracts_are_refused_with_the_place(case: str) -> None:
    """An error names the file, the place and the reason; nothing is silently ignored."""
    (properties, root), path, reason = REFUSED[case]

    error = refusal(*properties, **root)

    assert (error.file, error.path) == ("t.odcs.yaml", path)
    assert reason in error.reason


def test_two_columns_of_one_name() -> None:
    """Column names are unique."""
    assert "second column" in refusal(column(), column()).reason


def test_composite_keys_need_positions() -> None:
    """Which column comes first in a key is never guessed."""
    error = refusal(column(primaryKey=True), column(name="d", primaryKey=True) | {"name": "d"})

    assert "primaryKeyPosition 1 to 2" in error.reason


@pytest.mark.parametrize("text", ["a: [", "- a", "a: 1\na: 2", "\0", "? [a]\n: b", "&a [*a]"])
def test_documents_that_are_not_contracts(text: str) -> None:
    """Broken YAML, a list, a key given twice: one kind of error."""
    with pytest.raises(ContractError):
        parse(text, file="x")


def test_text_quality_rules_are_ignored() -> None:
    """Quality rules of type text are ignored."""
    assert read(column(quality=[{"type": "text", "description": "looks right"}])).columns


def test_file_is_named_after_its_table(tmp_path: Path) -> None:
    """The file's name is how a dataset is found, so it must be the table's."""
    (tmp_path / "u.odcs.yaml").write_text(document(column()), encoding="utf-8")

    with pytest.raises(ContractError, match=r"schema\[0\].name"):
        load_folder(tmp_path)


def test_lint_checks_by_the_model() -> None:
    """Fields that no verdict depends on are checked by the standard's model."""
    text = document(column(), tags="not-a-list")

    assert parse(text, file="t").columns
    with pytest.raises(ContractError, match="tags"):
        lint(text, file="t")
