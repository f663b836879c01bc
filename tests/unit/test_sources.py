"""Source files: what is refused with its line, which SQL and URLs come of them, which triggers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import sqlglot
import yaml
from hypothesis import given
from hypothesis import strategies as st

from landfall.contract.folder import Contract, load_folder
from landfall.sources import http, reader, schedule, sql, triggers
from landfall.sources.model import Source, Watermark
from landfall.sources.ranges import (
    EXTRACT_ID,
    Range,
    extract_id,
    following,
    mark_text,
    read_mark,
    windows,
)
from landfall.sources.schema import SOURCE
from landfall.sources.shape import SourceError
from tests.shop_source import ORDERS, WHOLE_ORDERS, shop

REPOSITORY = Path(__file__).resolve().parents[2]
CONTRACTS: Mapping[str, Contract] = load_folder(REPOSITORY / "marketplace" / "contracts")
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
END = datetime(2026, 1, 1, 1, tzinfo=UTC)

SHOP = shop(ORDERS + "    where: status <> 'draft'\n")
WHOLE = shop(WHOLE_ORDERS + "    where: status <> 'draft'\n")
CARRIER = """\
apiVersion: landfall/v1
kind: Source
name: carrier
connector: rest
connection:
  url: https://api.example/v2/
objects:
  - name: parcels
    dataset: parcels
    path: parcels?since={low}&before={high}
    mode: window
"""


def source(text: str, name: str = "") -> Source:
    """The source of a text."""
    document = yaml.safe_load(text)
    return reader.parse(text, file=f"{name or document['name']}.yaml", contracts=CONTRACTS)


WRONG = [
    (SHOP, "server: db.example", "server: https://db.example", 6, "connection.server", "a host"),
    (SHOP, "kind: Source", "kind: Sauce", 2, "kind", "supported: Source"),
    (SHOP, "connector: postgresql", "connector: oracle", 4, "connector", "azuresql"),
    (SHOP, "mode: incremental", "mode: sometimes", 14, "objects[0].mode", "full, incremental"),
    (SHOP, "dataset: orders", "dataset: nothing", 12, "objects[0].dataset", "no contract"),
    (SHOP, "table: public", "tabel: public", 13, "objects[0].tabel", "is not known here"),
    (SHOP, "    mode: incremental\n", "", 11, "objects[0]", "'mode' is missing"),
    (SHOP, "type: timestamptz", "type: text", 15, "objects[0].watermark.type", "integer"),
    (SHOP, "status <> 'draft'", "a; drop table x", 16, "objects[0].where", "no SQL condition"),
    (SHOP, "status <> 'draft'", "a in (select 1)", 16, "objects[0].where", "subquery"),
    (SHOP, "status <> 'draft'", "1=1) OR (1=1", 16, "objects[0].where", "no SQL condition"),
    (SHOP, "shop-password", "shop password", 9, "connection.auth.secret", "key vault"),
    (SHOP, "kind: password", "kind: magic", 9, "connection.auth.kind", "supported: password"),
    (SHOP, "type: timestamptz}", "type: integer}\n    lag: 1m", 16, "objects[0].lag", "overlap"),
    (SHOP, "where:", "overlap: '5'\n    where:", 16, "objects[0].overlap", "a time is needed"),
    (SHOP, "where:", "columns: [order_id]\n    where:", 16, "objects[0].columns", "requires"),
    (SHOP, "where:", "every: 1d\n    where:", 16, "objects[0].every", "mode: full"),
    (SHOP, "objects:", "schedule: {window: 1m, start: 2026-01-01T00:00:00Z}\nobjects:", 10,
     "schedule.window", "5m or more"),
    (SHOP, "objects:", "schedule: {window: 1h, start: 2026-01-01T00:00:00Z}\nobjects:", 15,
     "objects[0].mode", "windows"),
    (SHOP, "objects:", "schedule: {every: 1h, at: ['03:00']}\nobjects:", 10, "schedule.at",
     "go with"),
    (SHOP, "objects:", "schedule: {every: 1d, at: ['03:00', '04:10']}\nobjects:", 10,
     "schedule.at",
     "same minutes"),
    (SHOP, "objects:", "schedule: {start: soon, every: 1d}\nobjects:", 10, "schedule.start",
     "time as"),
    (SHOP, "objects:", "schedule: {at: ['03:00']}\nobjects:", 10, "schedule",
     "every, window, event"),
    (SHOP, "name: shop", "name: shop\nname: shop", 1, "", "given twice"),
    (CARRIER, "https://api.example/v2/", "api.example", 6, "connection.url", "ends in /"),
    (CARRIER, "since={low}", "since=0", 10, "objects[0].path", "needs {low}"),
    (CARRIER, "path: parcels", "path: https://x/parcels", 10, "objects[0].path", "not relative"),
    (CARRIER, "mode: window", "mode: full", 10, "objects[0].path", "no range"),
    (CARRIER, "mode: window", "mode: window\n    fields: {colour: a.b}", 12,
     "objects[0].fields.colour", "no column"),
]  # fmt: skip


@pytest.mark.parametrize("case", WRONG, ids=lambda case: f"{case[4]} {case[5]}")
def test_a_wrong_file_is_refused_with_its_line(case: tuple[str, str, str, int, str, str]) -> None:
    """File, line, place and reason are said."""
    text, old, new, line, path, reason = case
    assert old in text
    name = yaml.safe_load(text)["name"]
    with pytest.raises(SourceError) as refused:
        reader.parse(text.replace(old, new, 1), file=f"{name}.yaml", contracts=CONTRACTS)
    error = refused.value
    assert (error.line, error.path) == (line, path)
    assert reason in error.reason
    assert str(error).startswith(f"{name}.yaml:{line}: ")


def test_a_wrong_file_keeps_no_other_from_being_used(tmp_path: Path) -> None:
    """Each file is for itself; one that waits for a wrong one is wrong too."""
    (tmp_path / "shop.yaml").write_text(SHOP.replace("mode: incremental", "mode: x"))
    (tmp_path / "carrier.yaml").write_text(CARRIER)
    waits = "schedule: {window: 1h, start: 2026-01-01T00:00:00Z, after: [shop]}\nobjects:"
    (tmp_path / "late.yaml").write_text(
        CARRIER.replace("name: carrier", "name: late").replace("objects:", waits)
    )
    folder = reader.load_folder(tmp_path, CONTRACTS)
    assert set(folder.sources) == {"carrier"}
    assert set(folder.errors) == {"shop", "late"}


def test_the_published_schema_agrees_with_the_reader() -> None:
    """What the marketplace has fits both; a misspelt field fits neither."""
    validator = jsonschema.Draft202012Validator(SOURCE)
    jsonschema.Draft202012Validator.check_schema(SOURCE)
    for path in (REPOSITORY / "marketplace" / "sources").glob("*.yaml"):
        loader = yaml.BaseLoader(path.read_text())  # an editor has times as text
        document = loader.get_data()
        for entry in document["objects"]:
            for name, value in entry.get("pages", {}).items():
                if str(value).isdigit():
                    entry["pages"][name] = int(value)
        schedule = document.get("schedule", {"enabled": "true"})
        if "atOnce" in schedule:
            schedule["atOnce"] = int(schedule["atOnce"])
        schedule["enabled"] = schedule["enabled"] == "true"
        assert list(validator.iter_errors(document)) == []
        document["objects"][0]["tabel"] = "x"
        assert list(validator.iter_errors(document))


def test_values_of_the_environment_replace_those_of_a_connection() -> None:
    """They are checked like those of the file."""
    changed = reader.parse(
        SHOP,
        file="shop.yaml",
        contracts=CONTRACTS,
        connection={"server": "127.0.0.1", "port": 5433, "sslMode": "disable"},
    )
    assert changed.connection["server"] == "127.0.0.1"
    assert changed.connection["port"] == 5433
    with pytest.raises(SourceError, match="port"):
        reader.parse(SHOP, file="shop.yaml", contracts=CONTRACTS, connection={"port": 0})


# -- SQL ------------------------------------------------------------------------------------


def test_the_query_of_a_range_names_columns_and_takes_the_high_end() -> None:
    """Rows above the low end up to the high one, and rows without a value."""
    entry = source(SHOP).objects[0]
    text = sql.read_query(entry, "postgresql", Range(BEGIN, END, "incremental"))
    assert text.startswith('SELECT "order_id", "buyer_id", ')
    assert (
        "(\"updated_at\" > TIMESTAMPTZ '2026-01-01T00:00:00.000000Z' AND "
        '"updated_at" <= TIMESTAMPTZ \'2026-01-01T01:00:00.000000Z\' OR "updated_at" IS NULL)'
        " AND (status <> 'draft')"
    ) in text


def test_the_query_of_a_window_takes_its_begin_and_not_its_end() -> None:
    """So that windows have no gap and no row twice."""
    entry = source(SHOP).objects[0]
    text = sql.read_query(entry, "azuresql", Range(BEGIN, END, "window"))
    assert "[updated_at] >= CONVERT(datetimeoffset, '2026-01-01T00:00:00.000000Z', 127)" in text
    assert "[updated_at] < CONVERT(datetimeoffset, '2026-01-01T01:00:00.000000Z', 127)" in text
    assert "NULL" not in text


def test_the_query_for_the_high_end_leaves_out_what_is_younger_than_the_lag() -> None:
    """By the database's own clock."""
    entry = source(SHOP).objects[0]
    assert sql.high_query(entry, "postgresql").endswith(
        "WHERE \"updated_at\" <= now() - interval '120 seconds' AND (status <> 'draft')"
    )


def test_the_first_query_for_the_high_end_finds_rows_without_a_watermark() -> None:
    """A mark before all where there are no others; the index is left alone from then on."""
    entry = source(SHOP).objects[0]
    first = sql.high_query(entry, "postgresql", first=True)
    assert "CASE WHEN count(*) > 0 THEN COALESCE(" in first
    assert "'1900-01-01T00:00:00Z'" in first
    assert 'OR "updated_at" IS NULL)' in first
    assert "IS NULL" not in sql.high_query(entry, "postgresql")
    excluding = replace(entry, watermark=Watermark("updated_at", "timestamptz", "exclude"))
    assert "IS NULL" not in sql.high_query(excluding, "postgresql", first=True)


names = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=20)


@given(names, st.sampled_from(["postgresql", "azuresql"]))
def test_a_name_stays_one_name_whatever_is_in_it(name: str, connector: str) -> None:
    """Quotes, semicolons and comments in a column's name select a column of that name."""
    dialect = sql.DIALECTS[connector]
    quoted = dialect.name(name)
    assert quoted[0] == dialect.opening
    assert quoted[-1] == dialect.closing
    assert quoted[1:-1].replace(dialect.closing * 2, "") == name.replace(dialect.closing, "")
    if connector == "postgresql":
        tree = sqlglot.parse_one(f"SELECT {quoted}", dialect="postgres")
        assert [column.name for column in tree.find_all(sqlglot.exp.Column)] == [name]


@pytest.mark.parametrize(
    "where",
    [
        "1=1) OR (1=1", "a = 1; DROP TABLE orders", "a = 1 UNION SELECT 1", "EXISTS (SELECT 1)",
        "a = (SELECT max(a) FROM b)", "a = $1", "a = :b", "'", "", "DELETE FROM orders", "a", "1",
    ],
)  # fmt: skip
def test_a_condition_that_does_more_than_choose_rows_is_refused(where: str) -> None:
    """Whatever would reach beyond its parentheses."""
    with pytest.raises(sql.WhereError):
        sql.condition(where, "postgresql")


def test_a_comment_in_a_condition_does_not_reach_the_database() -> None:
    """The condition is written anew from its parsed tree."""
    assert sql.condition("a = 1 -- ) OR (1=1", "postgresql") == "a = 1"
    assert sql.condition("a = 1 /* x */ AND b", "postgresql") == "a = 1 AND b"


# -- ranges ---------------------------------------------------------------------------------


def test_a_range_follows_the_watermark_with_its_overlap() -> None:
    """And there is none where nothing is new, equal watermarks included."""
    hour = timedelta(hours=1)
    assert following(None, BEGIN, hour) == Range(None, BEGIN, "incremental")
    assert following(BEGIN, END, timedelta()) == Range(BEGIN, END, "incremental")
    assert following(BEGIN, END, hour) == Range(BEGIN - hour, END, "incremental")
    assert following(END, END, hour) is None
    assert following(END, BEGIN, hour) is None
    assert following(END, None, hour) is None
    assert following(10, 12, 5) == Range(5, 12, "incremental")
    with pytest.raises(TypeError):
        following(10, END, 0)


def test_an_extract_id_is_made_of_source_object_and_range() -> None:
    """The same gives the same; anything else another; ids follow the order of ranges."""
    one = extract_id("shop", "orders", Range(BEGIN, END, "incremental"))
    assert EXTRACT_ID.fullmatch(one)
    assert one == extract_id("shop", "orders", Range(BEGIN, END, "incremental"))
    others = [
        extract_id("shop2", "orders", Range(BEGIN, END, "incremental")),
        extract_id("shop", "lines", Range(BEGIN, END, "incremental")),
        extract_id("shop", "orders", Range(None, END, "incremental")),
        extract_id("shop", "orders", Range(BEGIN, END, "window")),
        extract_id("shop", "orders", Range(BEGIN, BEGIN, "incremental")),
    ]
    assert len({one, *others}) == 6
    numbers = [extract_id("s", "o", Range(None, n, "incremental")) for n in (9, 10, 1000)]
    assert numbers == sorted(numbers)
    assert all(EXTRACT_ID.fullmatch(number) for number in numbers)


def test_a_mark_keeps_its_microseconds_and_rounds_finer_ones_up() -> None:
    """A range has to reach the value that the source has told."""
    assert mark_text(read_mark("2026-01-01T00:00:00.123456", counted=False)) == (
        "2026-01-01T00:00:00.123456Z"
    )
    assert mark_text(read_mark("2026-01-01T00:00:00.1234561", counted=False)) == (
        "2026-01-01T00:00:00.123457Z"
    )
    assert mark_text(read_mark("2026-01-01T00:00:00.1234560", counted=False)) == (
        "2026-01-01T00:00:00.123456Z"
    )
    assert read_mark("2026-01-01T02:00:00+02:00", counted=False) == BEGIN
    assert read_mark("17", counted=True) == 17
    for text, counted in (("17.5", True), ("now", False), ("", True), ("x'; --", False)):
        with pytest.raises(ValueError, match="is not"):
            read_mark(text, counted=counted)


@given(
    st.integers(1, 10**7), st.integers(1, 10**6), st.integers(0, 10**9)
)  # fmt: skip
def test_windows_cover_a_time_without_gap_or_overlap(length: int, step: int, since: int) -> None:
    """Whatever the step."""
    begin = datetime.fromtimestamp(since, UTC)
    if length // step > 1000:
        step = length // 1000
    parts = windows(begin, begin + timedelta(seconds=length), timedelta(seconds=step))
    assert parts[0][0] == begin
    assert parts[-1][1] == begin + timedelta(seconds=length)
    assert all(one[1] == other[0] for one, other in pairwise(parts))


# -- URLs -----------------------------------------------------------------------------------


def paged(pages: str) -> Any:
    """The object of an API with pages."""
    return source(f"{CARRIER}    records: data.items\n    pages: {pages}\n").objects[0]


def test_a_url_has_its_range_encoded() -> None:
    """Colons and plus signs would be read as something else."""
    entry = source(CARRIER).objects[0]
    assert http.relative_url(entry, Range(BEGIN, END, "window")) == (
        "parcels?since=2026-01-01T00%3A00%3A00Z&before=2026-01-01T01%3A00%3A00Z"
    )
    unix = source(f"{CARRIER}    timeFormat: unix\n").objects[0]
    assert http.relative_url(unix, Range(BEGIN, END, "window")) == (
        "parcels?since=1767225600&before=1767229200"
    )


@pytest.mark.parametrize(
    ("pages", "rules"),
    [
        ("{kind: none}", {}),
        ("{kind: rfc5988}", {"supportRFC5988": "true", "MaxRequestNumber": "100000"}),
        ("{kind: link, next: paging.next, most: 10}",
         {"AbsoluteUrl": "$.paging.next", "MaxRequestNumber": "10"}),
        ("{kind: offset, parameter: skip, step: 50, until: {empty: data.items}}",
         {"AbsoluteUrl.{skip}": "RANGE:0::50", "EndCondition:$.data.items": "Empty",
          "MaxRequestNumber": "100000"}),
        ("{kind: page, parameter: page, until: {missing: $.data}}",
         {"AbsoluteUrl.{page}": "RANGE:1::1", "EndCondition:$.data": "NonExist",
          "MaxRequestNumber": "100000"}),
        ("{kind: cursor, parameter: a, next: 'header:X-Next', until: {path: more, equals: 'no'}}",
         {"QueryParameters['a']": "Headers['X-Next']", "EndCondition:$.more": "Const:no",
          "MaxRequestNumber": "100000"}),
        ("{kind: cursor, parameter: after, next: meta.next}",
         {"QueryParameters['after']": "$.meta.next", "MaxRequestNumber": "100000"}),
    ],
)  # fmt: skip
def test_pages_become_rules_of_data_factory(pages: str, rules: Mapping[str, str]) -> None:
    """Each kind; a number that pages advance is a placeholder of the URL."""
    entry = paged(pages)
    assert http.pagination(entry) == {"supportRFC5988": "false", **rules}
    parameter = entry.pages.get("parameter")
    if entry.pages["kind"] in {"offset", "page"}:
        assert f"{parameter}={{{parameter}}}" in http.relative_url(
            entry, Range(BEGIN, END, "window")
        )


def test_records_are_flattened_by_the_contract() -> None:
    """Every column of the contract by its path in a record."""
    entry = source(
        f"{CARRIER}    records: data.items\n    fields: {{state: status.code}}\n"
    ).objects[0]
    translator = http.translator(entry, CONTRACTS["parcels"])
    assert translator["collectionReference"] == "$['data']['items']"
    paths = {m["sink"]["path"]: m["source"]["path"] for m in translator["mappings"]}
    assert paths["$['parcel_id']"] == "['parcel_id']"
    assert paths["$['state']"] == "['status']['code']"


# -- triggers -------------------------------------------------------------------------------


def compiled(text: str) -> Mapping[str, Any]:
    """The trigger of the shop with a schedule, without what all triggers have."""
    trigger = triggers.trigger_of(source(WHOLE.replace("objects:", f"schedule: {text}\nobjects:")))
    assert trigger is not None
    properties: Mapping[str, Any] = trigger["properties"]
    return properties


def test_an_interval_becomes_a_schedule_trigger() -> None:
    """With times of day, days of the week and the month, and a time zone."""
    trigger = compiled(
        "{every: 1mo, monthDays: [1, -1], at: ['03:10'], timeZone: Tokyo Standard Time}"
    )
    assert trigger["type"] == "ScheduleTrigger"
    assert trigger["typeProperties"]["recurrence"] == {
        "frequency": "Month",
        "interval": 1,
        "startTime": "2026-01-01T00:00:00",
        "timeZone": "Tokyo Standard Time",
        "schedule": {"hours": [3], "minutes": [10], "monthDays": [1, -1]},
    }
    assert trigger["pipelines"][0]["parameters"] == {"source": "shop"}


def test_windows_become_a_tumbling_window_trigger() -> None:
    """With delay, concurrency, retries and dependencies."""
    trigger = compiled(
        "{window: 24h, start: 2026-01-01T00:00:00Z, delay: 5m, atOnce: 4, retries: 3, "
        "after: [carrier], inOrder: true, enabled: false}"
    )
    assert trigger["runtimeState"] == "Stopped"
    assert trigger["typeProperties"] == {
        "frequency": "Hour",
        "interval": 24,
        "startTime": "2026-01-01T00:00:00Z",
        "delay": "00:05:00",
        "maxConcurrency": 4,
        "retryPolicy": {"count": 3, "intervalInSeconds": 300},
        "dependsOn": [
            {
                "type": "TumblingWindowTriggerDependencyReference",
                "referenceTrigger": {
                    "referenceName": "extract_carrier",
                    "type": "TriggerReference",
                },
            },
            {
                "type": "SelfDependencyTumblingWindowTriggerReference",
                "offset": "-1.00:00:00",
                "size": "1.00:00:00",
            },
        ],
    }
    assert trigger["pipeline"]["parameters"]["windowStart"] == (
        "@trigger().outputs.windowStartTime"
    )


def test_events_become_event_triggers() -> None:
    """Of the storage account, and of a topic."""
    storage = compiled("{event: {kind: storage, container: partners, folder: a/b, suffix: .done}}")
    assert storage["type"] == "BlobEventsTrigger"
    assert storage["typeProperties"]["blobPathBeginsWith"] == "/partners/blobs/a/b/"
    assert storage["typeProperties"]["blobPathEndsWith"] == ".done"
    custom = compiled("{event: {kind: custom, topic: /subscriptions/x, types: [shop.closed]}}")
    assert custom["type"] == "CustomEventsTrigger"
    assert custom["typeProperties"] == {"scope": "/subscriptions/x", "events": ["shop.closed"]}


def test_the_triggers_in_the_factory_are_those_of_the_sources() -> None:
    """`landfall source check` says the same; `landfall source compile` mends it."""
    folder = reader.load_folder(REPOSITORY / "marketplace" / "sources", CONTRACTS)
    assert folder.errors == {}
    assert triggers.stale(folder.sources.values(), REPOSITORY / "adf" / "trigger") == {}


def test_stale_triggers_are_found_and_written(tmp_path: Path) -> None:
    """Missing, changed, and of a source that is gone."""
    schedules = SHOP.replace("objects:", "schedule: {every: 1h}\nobjects:")
    sources = [source(schedules)]
    (tmp_path / "extract_gone.json").write_text("{}")
    (tmp_path / "daily_sweep.json").write_text("{}")
    assert triggers.stale(sources, tmp_path) == {
        "extract_gone.json": "is of no source",
        "extract_shop.json": "is missing",
    }
    assert triggers.write(sources, tmp_path) == ["extract_gone.json", "extract_shop.json"]
    assert triggers.stale(sources, tmp_path) == {}
    assert (tmp_path / "daily_sweep.json").exists()
    shop = tmp_path / "extract_shop.json"
    shop.write_text(json.dumps(json.loads(shop.read_text())))
    assert triggers.stale(sources, tmp_path) == {
        "extract_shop.json": "differs from its source file"
    }


@pytest.mark.parametrize(
    ("text", "now", "expected"),
    [
        ("{every: 15m}", "2026-03-01T10:07:00Z", "2026-03-01T10:15:00Z"),
        ("{every: 1d, at: ['03:10', '15:10']}", "2026-03-01T10:07:00Z", "2026-03-01T15:10:00Z"),
        ("{every: 1w, weekDays: [Monday], at: ['03:10']}", "2026-03-04T10:07:00Z",
         "2026-03-09T03:10:00Z"),
        ("{every: 1mo, monthDays: [-1]}", "2026-02-04T10:07:00Z", "2026-02-28T00:00:00Z"),
        ("{every: 1mo, monthDays: [31]}", "2026-02-04T10:07:00Z", "2026-03-31T00:00:00Z"),
        ("{window: 1h, start: 2026-01-01T00:00:00Z, delay: 5m}", "2026-03-01T10:07:00Z",
         "2026-03-01T11:05:00Z"),
        ("{every: 1d, enabled: false}", "2026-02-04T10:07:00Z", None),
        ("{every: 1d, end: 2026-01-05T00:00:00Z}", "2026-02-04T10:07:00Z", None),
        ("{every: 1d, timeZone: Tokyo Standard Time}", "2026-02-04T10:07:00Z", None),
    ],
)  # fmt: skip
def test_the_next_start_is_told(text: str, now: str, expected: str | None) -> None:
    """Where it follows from the schedule alone."""
    entry = source(WHOLE.replace("objects:", f"schedule: {text}\nobjects:"))
    moment = schedule.next_start(entry.schedule, datetime.fromisoformat(now))
    assert moment == (datetime.fromisoformat(expected) if expected else None)
