"""The report of a run as a page: asked for by a browser, or written by the command."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from ingest.http import api
from ingest.http.web import ApiRequest
from landfall.cli.main import landfall
from landfall.protocol import State
from tests.ingest.instances import Instances
from tests.ingest.served_api import served

OWNED = """
team:
  name: Things
  members: [{username: ann@example.org, role: owner}]
support: [{channel: "#things", url: https://example.org/things}]
"""
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.fixture
def many(tmp_path: Path) -> Instances:
    """A dataset with an owner."""
    many = Instances(tmp_path)
    many.deploy("things", "1.0.0", OWNED)
    return many


def refused(many: Instances) -> tuple[str, ApiRequest]:
    """A drop that was refused, and the request for its report."""
    one = many.process()
    name = many.land("landing/things/may <1>.csv", b"id\nx\n")
    many.run_on(one, messages=one.on_landing("landing/things/may <1>.csv"))
    assert many.state(name) == [State.QUARANTINED]
    return name, ApiRequest(route={"run_id": name}, accept=BROWSER)


def test_a_browser_gets_a_page_with_its_origin(many: Instances) -> None:
    """Run, file, contract, owner, support and what was expected are on it; nothing is markup."""
    name, request = refused(many)
    reply = api.get_report(many.process(), request)
    page = reply.text()
    assert (reply.status, reply.content_type) == (200, "text/html")
    assert "sandbox" in reply.headers["Content-Security-Policy"]
    for text in (
        name,
        "landing/things/may &lt;1&gt;.csv",
        "things 1.0.0, digest",
        "Things; ann@example.org (owner)",
        "#things https://example.org/things",
        "a whole number, as 42",
        f"quarantine/things/{name}",
    ):
        assert text in page, text
    assert "<1>" not in page


@pytest.mark.parametrize(
    ("accept", "query", "html"),
    [
        (BROWSER, {}, True),
        (BROWSER, {"format": "json"}, False),
        ("*/*", {}, False),
        ("", {"format": "html"}, True),
        ("application/json, text/html", {}, False),
    ],
)
def test_who_asks_for_json_gets_json(
    many: Instances, accept: str, query: dict[str, str], html: bool
) -> None:
    """Clients that say nothing get what they always got."""
    _, request = refused(many)
    asked = ApiRequest(route=request.route, accept=accept, query=query)
    reply = api.get_report(many.process(), asked)
    assert (reply.content_type == "text/html") == html
    assert ("verdict" in reply.body) != html


def test_a_page_without_its_contract(many: Instances) -> None:
    """The contract is gone: the page has what the run's document says."""
    name, request = refused(many)
    (many.folder / "things.odcs.yaml").unlink()
    page = api.get_report(many.process(), request).text()
    assert name in page
    assert "digest" not in page


def test_the_command_writes_the_page(many: Instances, tmp_path: Path) -> None:
    """`landfall report latest --html`; exit code 1, as the drop was refused."""
    name, _ = refused(many)
    out = tmp_path / "report.html"
    with served(many.process()) as environment:
        result = CliRunner().invoke(
            landfall, ["report", "latest", "--html", str(out)], env=environment
        )
    assert (result.exit_code, result.output) == (1, f"the report of run {name} is in {out}\n")
    assert name in out.read_text()
