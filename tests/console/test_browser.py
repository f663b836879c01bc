"""The console in Chromium: accessible, by keyboard, without scripts, current without reloading."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from devcloud.config import CloudConfig
from ingest.azure.lake import AzureLake
from ingest.settings import LakeSettings
from landfall.console_links import token
from landfall.protocol import State
from tests.console import seeded
from tests.console.seeded import KEY, Seed

CHROMIUM = Path("/usr/bin/chromium")
api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no {CHROMIUM}"),
]
PAGES = (
    "", "runs", "runs?q=users&state=quarantined", "datasets", "datasets/users", "datasets/orders",
    "sources", "sources/shop/orders", "sources/shop/orders/extract", "sources/shop/orders/pause",
    "tables", "tables/gold/sales_by_day", "tables/silver/users", "lineage", "upload", "replay",
    "api", "nonsense",
)  # fmt: skip
EMPTY = ("", "runs", "sources", "datasets", "datasets/users", "tables", "lineage")


@dataclass
class Site:
    """A console that is served, and what it has."""

    config: CloudConfig
    named: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"{self.config.url('functions')}/console/"

    def sign_in(self, name: str = "ada") -> str:
        """An address that signs in once."""
        until = datetime.now(UTC) + timedelta(minutes=10)
        return f"{self.url}signin?token={token(KEY, 'link', name, 'Operator', until)}"

    @property
    def lake(self) -> AzureLake:
        config = self.config
        return AzureLake(
            LakeSettings(config.lake_connection_string, None, config.account, config.lake_url)
        )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A console over a lake that has been at work."""
    with seeded.cloud(tmp_path_factory.mktemp("cloud"), days=20) as (config, named):
        yield Site(config, named)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Debian's Chromium."""
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@contextmanager
def page_of(chromium: Any, site: Site, **options: Any) -> Iterator[Any]:
    """A page of somebody who has signed in; what it asks of other hosts or complains of fails."""
    context = chromium.new_context(**options)
    page = context.new_page()
    page.set_default_timeout(20_000)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "console",
        lambda said: (
            wrong.append(said.text)
            if said.type == "error" and "status of" not in said.text
            else None
        ),
    )
    page.on(
        "request",
        lambda request: (
            wrong.append(request.url)
            if not request.url.startswith((site.config.url("functions"), "data:"))
            else None
        ),
    )
    page.goto(site.sign_in())
    yield page
    context.close()
    assert wrong == []


def violations(page: Any) -> list[str]:
    """What axe finds on a page, in a line each."""
    result = axe.Axe().run(page).response
    return [
        f"{page.url}: {v['id']}: {json.dumps([n['target'] for n in v['nodes']])[:300]}"
        for v in result["violations"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(chromium: Any, site: Site, scheme: str) -> None:
    """Every page, with drops in every state, in both schemes."""
    runs = [
        "today failed",
        "users-with-rejects.csv",
        "users-wrong-export.csv",
        "copying",
        "damaged",
    ]
    pages = [*PAGES, *(f"runs/{site.named[name]}" for name in runs)]
    verbs = ("retry", "cancel", "replay", "resend")
    pages += [f"runs/{site.named['today failed']}/{verb}" for verb in verbs]
    found = []
    with page_of(chromium, site, color_scheme=scheme) as page:
        for name in pages:
            page.goto(f"{site.url}{name}")
            found += violations(page)
    assert found == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_where_there_is_nothing(
    chromium: Any, tmp_path: Path, scheme: str
) -> None:
    """The pages of an empty lake, and the page that asks to sign in."""
    with (
        seeded.cloud(tmp_path, days=0) as (config, _),
        page_of(chromium, (site := Site(config)), color_scheme=scheme) as page,
    ):
        found = []
        for name in EMPTY:
            page.goto(f"{site.url}{name}")
            found += violations(page)
        page.context.clear_cookies()
        page.goto(site.url)
        assert found + violations(page) == []


def test_the_keyboard_alone_retries_a_run(chromium: Any, site: Site) -> None:
    """From the run's page: tab to the verb, enter, the reason, tab, enter."""
    run_id = site.named["users-wrong-export.csv"]
    with page_of(chromium, site) as page:
        page.goto(f"{site.url}runs/{run_id}")
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.id") == "verb-retry":
                break
        page.keyboard.press("Enter")
        page.wait_for_selector("#reason")
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.id") == "reason":
                break
        page.keyboard.type("by keyboard")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/runs/{run_id}?done=retry")
        assert "Retry started" in page.inner_text("main")
        assert "by keyboard" in page.inner_text("main")


def test_a_verb_works_without_scripts(chromium: Any, site: Site) -> None:
    """Forms are forms."""
    run_id = site.named["users-again.csv"]
    with page_of(chromium, site, java_script_enabled=False) as page:
        page.goto(f"{site.url}runs/{run_id}/replay")
        page.fill("#reason", "no script")
        page.click("form.form button")
        page.wait_for_url(f"**/runs/{run_id}?done=replay")
        assert "no script" in page.inner_text("main")


def test_a_page_stays_current_without_reloading(chromium: Any, site: Site) -> None:
    """A run that lands shows up in the list; what has the focus keeps it."""
    lake = site.lake
    with page_of(chromium, site) as page:
        page.goto(f"{site.url}runs")
        held = page.locator("tbody tr td a").first
        held.focus()
        kept = page.evaluate("document.activeElement.getAttribute('href')")
        seed = Seed(lake, datetime.now(UTC))
        run = seed.put(seed.run("orders", datetime.now(UTC), State.QUARANTINED, "just-now.csv", 9))
        page.wait_for_selector(f"[id='r-{run.run_id}']")
        assert page.evaluate("document.activeElement.getAttribute('href')") == kept
        assert "page has changed" in page.text_content("#announce")


def test_a_phone_needs_no_sideways_scrolling(chromium: Any, site: Site) -> None:
    """At 400 pixels a page is as wide as the screen; wide tables scroll in themselves."""
    runs = [f"runs/{site.named[name]}" for name in ("users-with-rejects.csv", "x" * 196 + ".csv")]
    with page_of(chromium, site, viewport={"width": 400, "height": 800}) as page:
        wide = []
        for name in [*PAGES, *runs]:
            page.goto(f"{site.url}{name}")
            width = page.evaluate("document.documentElement.scrollWidth")
            if width > 400:
                wide.append((name, width))
        assert wide == []
