"""The pages over a lake that has been at work: what each shows, for any content."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from devcloud.config import create
from devcloud.lake.app import create_app
from devcloud.serving import serve_in_thread
from ingest import paths
from ingest.azure.lake import AzureLake
from ingest.console.identity import Role
from ingest.runs.register import Register
from ingest.service import Landfall
from ingest.settings import LakeSettings
from landfall.protocol import ANALYTICS_PAGE, FINAL, State
from tests.console import seeded
from tests.console.browser import Browser, Html
from tests.console.seeded import SCRIPT, STRANGE
from tests.ingest.conftest import REPOSITORY, Clock, StorageAccount
from tests.ingest.harness import ServiceHarness

KIB = 1024


@dataclass
class Cloud:
    """A filled lake, and its service."""

    service: Landfall
    named: dict[str, str]
    account: StorageAccount

    def browser(self, role: Role = Role.OPERATOR) -> Browser:
        return Browser.signed_in(self.service, role=role)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """One for all tests here, which only look at it."""
    config = create(tmp_path_factory.mktemp("cloud"), REPOSITORY)
    with serve_in_thread(create_app(config), config.ports["lake"]):
        named = seeded.fill(config, days=20)
        settings = LakeSettings(
            config.lake_connection_string, None, config.account, config.lake_url
        )
        account = StorageAccount(config, AzureLake(settings))
        yield Cloud(ServiceHarness(account, Clock()).service, named, account)


def test_every_page_is_well_formed_and_small(cloud: Cloud) -> None:
    """Each page is strict HTML of at most 60 KiB, 20 KiB as it is sent, with one h1."""
    browser = cloud.browser()
    runs = [f"runs/{cloud.named[name]}" for name in ("users-with-rejects.csv", "today failed")]
    pages = ["", "runs", "datasets", "datasets/users", "tables", "lineage", "upload", "api"]
    pages += ["sources", "sources/shop/orders", "sources/shop/orders/extract"]
    pages += [
        "replay",
        "tables/gold/sales_by_day",
        "tables/silver/users",
        *runs,
        f"{runs[1]}/retry",
    ]
    for name in pages:
        page = browser.open(f"/console/{name}")
        assert len(page.all("h1")) == 1, name
        assert len(browser.last.body) < 60 * KIB, (name, len(browser.last.body))
        assert len(browser.last.compressed("gzip").body) < 20 * KIB, name
        policy = browser.last.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        for element in page.elements:
            assert not [a for a in element.attributes if a == "style" or a.startswith("on")]
            assert element.tag != "script" or element.attributes.get("src"), name


def test_the_overview_counts_what_is_on_its_way_and_what_ended(cloud: Cloud) -> None:
    """Each active state once, and what landed today by how it ended."""
    text = cloud.browser().open("/console/").text
    assert "Active now 7" in text
    for state in State:
        assert state.value in text or state is State.RECEIVED
    assert "1 document cannot be read and is set aside" in text
    assert "1 d ✓ on time" in text


def test_the_runs_are_filtered_by_the_address(cloud: Cloud) -> None:
    """Dataset, state, time and way are in the address, and in the form again."""
    browser = cloud.browser()
    page = browser.open("/console/runs", dataset="users", state="quarantined")
    names = [a.text for a in page.all("a") if a.attributes["href"].startswith("/console/runs/2")]
    assert {"users-wrong-export.csv", "not-a-table.csv"} <= set(names)
    assert {e.text.strip() for e in page.all("option", selected="")} == {"users", "quarantined"}
    bad = browser.open("/console/runs", status=400, state="happy")
    assert "'happy' is not one of" in bad.text


def test_pages_of_runs_follow_one_another(cloud: Cloud) -> None:
    """The cursor of a page leads to the runs after it, none twice, none left out."""
    browser, seen, url = cloud.browser(), [], "/console/runs"
    while True:
        page = browser.open(url)
        seen += [e.attributes["id"] for e in page.all("tr") if "id" in e.attributes]
        older = [a.attributes["href"] for a in page.all("a", rel="next")]
        if not older:
            break
        (url,) = older
    assert len(seen) == len(set(seen))
    assert len(seen) > 120


@pytest.mark.parametrize("by", ["id", "name", "hash", "path"])
def test_one_box_finds_a_run(cloud: Cloud, by: str) -> None:
    """By its id, a part of its name, its content's hash or its path."""
    run_id = cloud.named["users-with-rejects.csv"]
    run = cloud.service.manifest.get(run_id).run
    assert run.verdict is not None
    text = {
        "id": run_id,
        "name": "with-REJECTS",
        "hash": run.verdict.sha256[:20],
        "path": "landing/users/users-with",
    }[by]
    page = cloud.browser().open("/console/runs", q=text)
    assert f"r-{run_id}" in {row.attributes.get("id") for row in page.all("tr")}


def test_a_run_says_all_that_is_known_of_it(cloud: Cloud) -> None:
    """Every move with its cause, the verdict rule by rule, samples masked, what can be done."""
    run_id = cloud.named["users-with-rejects.csv"]
    page = cloud.browser().open(f"/console/runs/{run_id}")
    run = cloud.service.manifest.get(run_id).run
    for line in run.history:
        assert " ".join(line.cause.split()) in page.text
    assert "62 records: 60 accepted, 2 rejected (3.23 %; the contract tolerates 5 %)" in page.text
    assert "gender enum" in page.text
    assert "***" in page.text
    offered = {a.attributes["id"] for a in page.all("a") if "id" in a.attributes}
    assert {"verb-replay", "verb-resend"} <= offered
    assert "Retry: it has succeeded: there is nothing to retry" in page.text


def test_who_asked_is_on_the_page(cloud: Cloud) -> None:
    """The history names who cancelled."""
    page = cloud.browser().open(f"/console/runs/{cloud.named['today cancelled']}")
    row = page.all("tr")[-1]
    assert "cancelled" in row.text
    assert "ada" in row.text


@pytest.mark.parametrize("name", STRANGE, ids=["script", "long", "right-to-left", "emoji", "lines"])
def test_any_file_name_is_text(cloud: Cloud, name: str) -> None:
    """Markup is escaped, what turns or hides text is written out, lines stay one."""
    browser = cloud.browser()
    for url in ("/console/runs", f"/console/runs/{cloud.named[name]}"):
        page = browser.open(url)
        body = browser.last.body.decode()
        assert SCRIPT not in body
        assert not any(c in body for c in "\u202e\u200d")
        assert all(script.text.strip() == "" for script in page.all("script"))
    assert "two\\nlines.csv" in browser.open("/console/runs").text


def test_a_damaged_document_is_shown_as_such(cloud: Cloud) -> None:
    """Its page says so, and all other pages stand."""
    page = cloud.browser().open(f"/console/runs/{cloud.named['damaged']}", status=500)
    assert "This run's document cannot be read" in page.text


def test_a_dataset_shows_its_contract_and_its_days(cloud: Cloud) -> None:
    """Columns with what they must be, plots with a sentence each, the drops by step."""
    page = cloud.browser().open("/console/datasets/users")
    assert "gender" in page.text
    assert "one of F, M" in page.text
    labels = [svg.attributes["aria-label"] for svg in page.all("svg")]
    assert any(label.startswith("Drops by day and outcome: ") for label in labels)
    assert any("by step: " in label for label in labels)
    assert any(label.startswith("The last 12 weeks: ") for label in labels)
    missing = cloud.browser().open("/console/datasets/nonsense", status=404)
    assert "there is no dataset 'nonsense'" in missing.text


def test_tables_have_version_rows_and_a_masked_sample(cloud: Cloud) -> None:
    """What Delta's log says, and rows with the values masked that a contract masks."""
    page = cloud.browser().open("/console/tables/silver/users")
    assert "Version 0" in page.text
    assert "Rows 50" in page.text
    assert "Masked by contract: identifierHash" in page.text
    assert "4000000000000000000" not in page.text
    gold = cloud.browser().open("/console/tables/gold/sales_by_day")
    assert "revenue by day" in gold.text
    assert "there is no table" in cloud.browser().open("/console/tables/gold/x", status=404).text


def test_the_page_of_analytics_is_shown_and_nothing_of_it_runs(cloud: Cloud) -> None:
    """It is linked once it is there: a file, or the one part that Spark writes."""
    browser, lake = cloud.browser(), cloud.service.lake
    assert not browser.open("/console/tables").all("a", href="/console/analytics")
    assert "no page of analytics yet" in browser.open("/console/analytics", status=404).text
    for path in (f"{ANALYTICS_PAGE}/part-00000.txt", ANALYTICS_PAGE):
        lake.put(path, b"<!doctype html><main>Forecasts</main>")
        try:
            assert browser.open("/console/tables").all("a", href="/console/analytics")
            assert "Forecasts" in browser.open("/console/analytics").text
            policy = browser.last.headers["Content-Security-Policy"]
            assert "sandbox" in policy
            assert "script" not in policy
        finally:
            lake.delete(path)
            lake.delete_folder(ANALYTICS_PAGE)


def test_lineage_leads_from_landing_to_the_database(cloud: Cloud) -> None:
    """Every step of a dataset whose last load wrote gold."""
    page = cloud.browser().open("/console/lineage")
    for pair in ("landing/orders bronze/orders", "silver/orders gold/sales_by_day"):
        assert pair in page.text
    assert "gold/sales_by_day database/sales_by_day" in page.text


def test_a_reader_looks_and_does_not_act(cloud: Cloud) -> None:
    """Verbs are not offered, forms are not taken, unmasked rows are not given out."""
    browser = cloud.browser(Role.READER)
    run_id = cloud.named["today failed"]
    page = browser.open(f"/console/runs/{run_id}")
    assert "Retry: your role is Reader: this needs the role Operator" in page.text
    form = browser.open(f"/console/runs/{run_id}/retry")
    reply = browser.fill(form, f"/console/runs/{run_id}/retry", reason="please")
    assert reply.status == 403
    assert cloud.service.manifest.get(run_id).run.state is State.FAILED
    browser.open(f"/console/runs/{cloud.named['users-with-rejects.csv']}/rejects", status=403)


def test_rejects_are_a_download(cloud: Cloud) -> None:
    """As they are kept, never shown by the browser."""
    run_id = cloud.named["users-with-rejects.csv"]
    reply = cloud.browser().send("GET", f"/console/runs/{run_id}/rejects")
    assert reply.status == 200
    assert reply.headers["Content-Disposition"].startswith("attachment")
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    path = cloud.service.manifest.get(run_id).run.verdict.rejects  # type: ignore[union-attr]
    assert reply.body == cloud.service.lake.get(str(path))[0]


def test_the_page_for_the_producer_is_a_download(cloud: Cloud) -> None:
    """It has styles of its own, so it is not shown under the console's policy."""
    run_id = cloud.named["users-with-rejects.csv"]
    reply = cloud.browser().send("GET", f"/console/runs/{run_id}/page")
    assert reply.status == 200
    assert reply.headers["Content-Disposition"].endswith('-report.html"')
    assert b"users-with-rejects.csv" in reply.body


def test_sources_show_where_each_object_stands(cloud: Cloud) -> None:
    """Mode, watermark and what was read, by source."""
    page = cloud.browser().open("/console/sources")
    assert "postgresql" in page.text
    assert "orders orders incremental ✓ enabled" in page.text
    one = cloud.browser().open("/console/sources/shop/orders")
    assert "No extracts yet" in one.text
    cloud.browser().open("/console/sources/shop/nothing", status=404)


def test_a_page_that_has_not_changed_is_not_sent_again(cloud: Cloud) -> None:
    """304 for the ETag that the browser names; ages do not count."""
    browser = cloud.browser()
    browser.open("/console/runs")
    browser.headers["if-none-match"] = browser.last.headers["ETag"]
    assert browser.send("GET", "/console/runs").status == 304
    browser.headers["if-none-match"] = 'W/"another"'
    assert browser.send("GET", "/console/runs").status == 200


def test_files_are_kept_by_their_content(cloud: Cloud) -> None:
    """What a page loads is from this host, may be kept for good, and is named by its content."""
    browser = cloud.browser()
    page = browser.open("/console/")
    urls = [e.attributes["href"] for e in page.all("link")]
    urls += [e.attributes["src"] for e in page.all("script")]
    assert len(urls) == 3
    for url in urls:
        reply = browser.send("GET", url)
        assert reply.status == 200
        assert "immutable" in reply.headers["Cache-Control"]
        assert browser.send("GET", url.replace("static/", "static/0")).status == 404


def test_days_are_one_list(cloud: Cloud) -> None:
    """The figures of all datasets and days are in the metadata of one listing."""
    days = cloud.service.days.read()
    users = [day for day in days if day.dataset == "users"]
    assert len(users) >= 18  # one a day; soon after midnight none of today has ended
    assert sum(day.ended.get(State.SUCCEEDED, 0) for day in users) >= 10
    entries = list(cloud.service.lake.list(paths.DAYS, metadata=True))
    assert len(entries) == len(days)
    assert all(day.over for day in users[:-1])
    assert set(FINAL) >= {State(name) for day in days for name in day.ended}


def test_an_empty_lake_has_pages_too(tmp_path: Path) -> None:
    """Nothing to show is said in words."""
    config = create(tmp_path, REPOSITORY)
    with serve_in_thread(create_app(config), config.ports["lake"]):
        settings = LakeSettings(
            config.lake_connection_string, None, config.account, config.lake_url
        )
        account = StorageAccount(config, AzureLake(settings))
        browser = Browser.signed_in(ServiceHarness(account, Clock()).service)
        for name in ("", "runs", "datasets", "datasets/users", "tables", "lineage"):
            assert isinstance(browser.open(f"/console/{name}"), Html)
        assert "No run yet" in browser.open("/console/runs").text
        assert Register(account.lake).newest(limit=1) == []
