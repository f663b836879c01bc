"""The documentation against what it documents: links, and pages that follow from the code."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path

import pytest

from devcloud.config import CONTAINERS, app_settings, create
from docs.generate import CAUSE, DOING, FOLDER, MEANING, PAGES
from ingest import paths
from ingest.http.routes import ROUTES
from ingest.operations.replays import ReplayPlan
from ingest.runs.run import (
    Copy,
    LandedVersion,
    Lease,
    Load,
    Resend,
    Run,
    Transition,
    ValidationAttempt,
    Verdict,
)
from ingest.runs.states import COMMANDS, Command, Event
from ingest.settings import Settings, read, trigger_problem
from ingest.stages.load.batch import Batch
from landfall.protocol import State
from landfall.validation.prefilter import kernel
from spark_jobs.result import ORIGINS, Result
from tests.docs import pages
from tests.docs.pages import ROOT

HOST_READS = {"LANDFALL_TICK"}
"""Settings that only the Functions host reads, in the binding of the timer."""
CONSOLE_READS = {"LANDFALL_CONSOLE_KEY", "WEBSITE_AUTH_ENABLED"}
"""How people sign in to the console."""
VALIDATION_READS = {kernel.SWITCH}
"""The validation itself, wherever it runs."""
NEEDED = (
    "LANDFALL_ADF_SUBSCRIPTION",
    "LANDFALL_ADF_RESOURCE_GROUP",
    "LANDFALL_ADF_FACTORY",
    "DATABRICKS_HOST",
)


class Asked(Mapping[str, str]):
    """An environment that remembers which names were asked for."""

    def __init__(self, **values: str) -> None:
        self._values = values
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.names.add(name)
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def smallest_environment() -> Asked:
    """Only what has no default."""
    lake = {"LANDFALL_LAKE__blobServiceUri": "https://account.blob.core.windows.net"}
    return Asked(**lake, **dict.fromkeys(NEEDED, "x"))


@pytest.mark.parametrize("page", pages.markdown(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file that is there and, with an anchor, a heading of it."""
    dead = [
        written
        for written, target, anchor in pages.links(page)
        if not target.exists()
        or (anchor and target.suffix == ".md" and anchor not in pages.anchors(target))
    ]
    assert dead == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_generated_pages_are_current(page: Path) -> None:
    """What is made from the code is what the code makes: else `python docs/generate.py`."""
    assert PAGES[page]() == page.read_text(encoding="utf-8")


def test_every_state_and_event_is_explained() -> None:
    """The page of states leaves none out."""
    assert (set(State), set(Event)) == (set(MEANING), set(CAUSE))
    assert (set(State), set(Command)) == (set(COMMANDS), set(DOING))


def test_settings_are_all_there_and_no_others(tmp_path: Path) -> None:
    """The page names exactly the settings that the app and the local cloud know."""
    by_identity, by_key = smallest_environment(), Asked(LANDFALL_LAKE="AccountName=a")
    read(by_identity, app=ROOT)
    with pytest.raises(Exception, match="SUBSCRIPTION"):
        read(by_key, app=ROOT)
    assert trigger_problem(by_identity) is not None
    local = app_settings(create(tmp_path, ROOT))

    elsewhere = HOST_READS | VALIDATION_READS | CONSOLE_READS
    known = by_identity.names | by_key.names | set(local) | elsewhere

    assert sorted(known) == sorted(_documented_settings())


def test_default_settings_are_as_documented() -> None:
    """The page's defaults are those that the app takes."""
    settings = read(smallest_environment(), app=ROOT)

    assert _defaults(settings).items() <= _documented_settings().items()


def _documented_settings() -> dict[str, str]:
    page = (FOLDER / "settings.md").read_text(encoding="utf-8")
    rows = (row for row in pages.tables(page) if row[0].startswith("`"))
    return {row[0].strip("`"): row[1].strip("`") for row in rows}


def _defaults(settings: Settings) -> dict[str, str]:
    seconds = {
        f"LANDFALL_{name.upper()}_SECONDS": f"{getattr(settings, name).total_seconds():g}"
        for name in ("settle", "nudge", "copy_grace", "lease", "blocked", "batch_window")
    }
    counts = {
        "LANDFALL_MAX_COPIES": str(settings.max_copies),
        "LANDFALL_MAX_LOADS": str(settings.max_loads),
        "LANDFALL_BATCH_MAX_DROPS": str(settings.batch_drops),
    }
    return (
        seconds
        | counts
        | {
            "LANDFALL_ADF_ENDPOINT": settings.adf_endpoint,
            "LANDFALL_ADF_PIPELINE": settings.adf_pipeline,
            "LANDFALL_JOB": settings.job,
            "LANDFALL_SPARK_LAKE": settings.spark_lake.replace("@account.", "@<account>."),
        }
    )


def test_routes_are_all_there_and_no_others() -> None:
    """Each route of the app has a section, and no section is of a route that is not there."""
    routes = [(route.method, route.path) for route in ROUTES.values() if not route.page]
    page = (FOLDER / "http-api.md").read_text(encoding="utf-8")
    sections = re.findall(r"^## (GET|POST|PUT|PATCH|DELETE) /(.+)$", page, re.MULTILINE)

    assert sorted(routes) == sorted(sections)


def test_documents_are_described_field_by_field() -> None:
    """The tables of the lake's documents name the fields of the classes that are written."""
    page = (FOLDER / "lake-layout.md").read_text(encoding="utf-8")
    run = {each.name for each in fields(Run)} | {"writer"}
    batch = {each.name for each in fields(Batch)}
    result = {each.name for each in fields(Result)} | {"schema", "rows_in", "served", ORIGINS}
    written = {"## Run document": run, "## Batch document": batch, "## Result document": result}
    written |= {"## Replay document": {each.name for each in fields(ReplayPlan)}}
    parts = (
        ("source", LandedVersion),
        ("lease", Lease),
        ("judging", ValidationAttempt),
        ("verdict", Verdict),
    )
    for name, kind in (
        *parts,
        ("copy", Copy),
        ("load", Load),
        ("resend", Resend),
        ("history", Transition),
    ):
        written |= {f"`{name}`:": {each.name for each in fields(kind)}}

    assert written == {heading: _fields_below(page, heading) for heading in written}


def _fields_below(page: str, heading: str) -> set[str]:
    table = page.split(f"{heading}\n", 1)[1].split("|---|---|\n", 1)[1].split("\n\n", 1)[0]
    return {row[0].strip("`") for row in pages.tables(table)}


def test_paths_of_the_lake_are_all_there() -> None:
    """Each path that `ingest.paths` makes, and each container, is in the table of paths."""
    page = (FOLDER / "lake-layout.md").read_text(encoding="utf-8")
    listed = {row[0].strip("`") for row in pages.tables(page) if row[0].startswith("`")}
    made = [
        paths.active_document("<run id>"),
        f"{paths.ARCHIVE}<dataset>/YYYYMMDD/<run id>.json",
        f"{paths.INDEX}<state>/<dataset>/YYYYMMDD/<run id>.json",
        f"{paths.resend_folder('<dataset>', '<run id>')}/<file>",
        f"{paths.resend_links('<run id>')}<run id>",
        paths.replay_document("<replay id>"),
        paths.replay_document("<replay id>", done=True),
        paths.request_document("<token>"),
        paths.content_document("<dataset>", "<sha256>"),
        paths.contract_document("<dataset>", "<digest>"),
        paths.day_document("<dataset>", "YYYYMMDD"),
        paths.current_batch("<dataset>"),
        paths.done_batch("<dataset>", "<batch id>"),
        f"{paths.results_folder('<dataset>', '<batch id>')}part-*",
        f"{paths.attempt_folder('<dataset>', '<run id>', '<attempt>')}/report.json",
        f"{paths.judging_folder('<dataset>', '<run id>')}/<attempt>/",
        f"{paths.findings_folder('<dataset>', '<run id>', '<attempt>')}/report.json",
        paths.raw_file("<dataset>", "<run id>", "").replace("drop", "<file>"),
        paths.raw_file("<dataset>", "<run id>", "", 7).replace("7-drop", "<n>-<file>"),
        paths.quarantined_file("<dataset>", "<run id>", "").replace("drop", "<file>"),
        f"{paths.bronze_folder('<dataset>', '<run id>', '<run id>.a<number>')}/*.parquet",
    ]

    assert [path for path in made if path not in listed] == []
    assert {path.split("/")[0] for path in listed if "/" in path} >= set(CONTAINERS)


def test_files_that_are_left_alone_are_those_that_the_page_names() -> None:
    """A marker or temporary file by the page is none of the drops by the code."""
    page = (FOLDER / "lake-layout.md").read_text(encoding="utf-8")
    (line,) = (line for line in page.splitlines() if line.startswith("Left alone in `landing`"))
    begins, rest = line.removeprefix("Left alone in `landing`").split(" or end in ")
    ends, folders = rest.split(" folder ")
    quoted = re.compile("`(.+?)`")
    names = [f"{name}x.csv" for name in quoted.findall(begins)]
    names += [f"x.csv{name}" for name in quoted.findall(ends)]
    names += [f"{name}/x.csv" for name in quoted.findall(folders)]

    assert len(names) >= 6
    assert [name for name in names if paths.is_drop(f"landing/users/{name}")] == []


@pytest.mark.parametrize("page", pages.markdown(), ids=lambda page: str(page.relative_to(ROOT)))
def test_a_block_that_is_not_run_says_why(page: Path) -> None:
    """A marker above a block is one of those that are understood."""
    odd = [
        f"{page.name}:{block.line}: {block.marker}"
        for block in pages.blocks(page)
        if block.marker and not block.skipped and not re.match(r"exits with \d", block.marker)
    ]
    assert odd == []
