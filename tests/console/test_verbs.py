"""Signing in, and what people do in the console: without scripts, safe from other pages."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from datetime import timedelta
from urllib.parse import quote

import httpx
import pytest

from ingest import paths
from ingest.console import identity
from ingest.console.identity import Person, Role, SignIn, link_token
from ingest.console.web import ConsoleRequest
from ingest.errors import BadRequest
from ingest.service import Landfall
from landfall.protocol import State
from tests.console.browser import ENV, HOST, Browser, Html, link
from tests.console.seeded import KEY
from tests.e2e.drops import users
from tests.ingest.conftest import Clock, StorageAccount
from tests.ingest.harness import ServiceHarness

AZURE = {k: v for k, v in ENV.items() if k != "LANDFALL_CONSOLE_KEY"} | {
    "WEBSITE_AUTH_ENABLED": "True"
}
PAGES = ("", "runs", "datasets", "tables", "lineage", "upload", "api", "replay", "nonsense")


@pytest.fixture
def harness(storage_account: StorageAccount, clock: Clock) -> ServiceHarness:
    """A service of its own on the module's lake."""
    return ServiceHarness(storage_account, clock)


@pytest.fixture
def service(harness: ServiceHarness) -> Landfall:
    """That service."""
    return harness.service


@pytest.fixture
def refused(harness: ServiceHarness, request: pytest.FixtureRequest) -> str:
    """The id of a run that is quarantined."""
    seed = int(hashlib.sha256(request.node.name.encode()).hexdigest()[:8], 16)
    body = users([seed, seed + 1], gender="X").encode()
    run = harness.take(f"landing/users/bad-{seed}.csv", body)
    assert run.state is State.QUARANTINED
    return run.run_id


def principal(*roles: str) -> dict[str, str]:
    """The headers that App Service puts on a request of somebody who is signed in."""
    claims = {"claims": [{"typ": "roles", "val": role} for role in roles], "role_typ": "roles"}
    header = base64.b64encode(json.dumps(claims).encode()).decode()
    return {"x-ms-client-principal": header, "x-ms-client-principal-name": "ada@example.com"}


# -- signing in ----------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_anonymous_gets_nothing(service: Landfall, page: str, method: str) -> None:
    """Whatever is asked for: how to sign in, and not even whether there is such a page."""
    reply = Browser(service).send(method, f"/console/{page}")
    assert reply.status == 401
    assert b"landfall open" in reply.body
    assert b"users" not in reply.body


def test_a_link_signs_in_once(service: Landfall, clock: Clock) -> None:
    """The second time it is as if it were none; so is one that is too old or of another key."""
    browser, token = Browser(service), link(clock)
    first = browser.send("GET", "/console/signin", token=token)
    assert first.status == 303
    flags = str(first.cookie)
    assert all(flag in flags for flag in ("HttpOnly", "SameSite=Strict", "Path=/"))
    assert "Secure" not in flags
    assert browser.send("GET", "/console/signin", token=token).status == 401
    other = link_token("another key", "ada", Role.OPERATOR, clock(), timedelta(hours=1))
    old = link(clock, minutes=-1)
    for bad in (other, old, "", "x", "a.b", token[:-1]):
        assert browser.send("GET", "/console/signin", token=bad).status == 401


def test_over_tls_the_cookie_is_for_tls_alone(service: Landfall, clock: Clock) -> None:
    """`Secure` where the platform says that the browser came by https."""
    browser = Browser(service, headers={"x-forwarded-proto": "https"})
    assert "Secure" in str(browser.send("GET", "/console/signin", token=link(clock)).cookie)


def test_a_session_cannot_be_made_up(service: Landfall, clock: Clock) -> None:
    """A link is no session, a changed one is none, and one that is over is none."""
    browser = Browser.signed_in(service)
    good = browser.cookie
    text, _, signature = good.removeprefix("landfall=").partition(".")
    payload = json.loads(base64.urlsafe_b64decode(text + "=="))
    payload[0] = "eve"
    forged = base64.urlsafe_b64encode(json.dumps(payload).encode()).decode().rstrip("=")
    for value in (link(clock), f"{forged}.{signature}", f"{text}.", "", "%", "a=b"):
        browser.cookie = f"landfall={value}"
        assert browser.send("GET", "/console/").status == 401, value
    browser.cookie = good
    assert browser.send("GET", "/console/").status == 200
    clock.turn(hours=12, minutes=1)
    assert browser.send("GET", "/console/").status == 401


def test_a_forged_principal_is_not_believed(service: Landfall) -> None:
    """The platform's headers count only where the platform guards them."""
    browser = Browser(service, headers=principal("Operator"))
    assert browser.send("GET", "/console/").status == 401
    browser.env = AZURE
    assert browser.send("GET", "/console/").status == 200


def test_in_azure_roles_of_the_registration_count(service: Landfall) -> None:
    """Nobody: to the sign-in page; no role: 403; Reader looks; the laptop's way is shut."""
    nobody = Browser(service, env=AZURE)
    reply = nobody.send("GET", "/console/runs")
    assert reply.status == 303
    assert reply.headers["Location"] == (
        "/.auth/login/aad?post_login_redirect_uri=%2Fconsole%2Fruns"
    )
    assert Browser(service, env=AZURE, headers=principal("Other")).send("GET", "/").status == 403
    reader = Browser(service, env=AZURE, headers=principal("Reader"))
    assert "ada@example.com (Reader)" in reader.open("/console/").all("header")[0].text
    both = {**AZURE, "LANDFALL_CONSOLE_KEY": KEY}
    shut = Browser(service, env=both)
    assert shut.send("GET", "/console/signin", token=link(service.clock)).cookie is None


@pytest.mark.parametrize("header", ["", "%%", "bm8=", base64.b64encode(b'{"claims":1}').decode()])
def test_a_principal_that_cannot_be_read_is_no_way_in(service: Landfall, header: str) -> None:
    """Neither an error of the service."""
    browser = Browser(service, env=AZURE, headers={"x-ms-client-principal": header})
    assert browser.send("GET", "/console/").status in (303, 400)


# -- verbs ---------------------------------------------------------------------------------------


def test_a_retry_needs_a_reason_and_keeps_who_asked(service: Landfall, refused: str) -> None:
    """Asked on a page of its own, done by a form, told in the history; the queue goes on."""
    browser, url = Browser.signed_in(service, name="ada"), f"/console/runs/{refused}/retry"
    page = browser.open(url)
    reply = browser.fill(page, url, reason=" ")
    assert reply.status == 422
    assert b"Enter a reason" in reply.body
    reply = browser.fill(page, url, reason="the contract was fixed")
    assert (reply.status, reply.headers["Location"]) == (
        303,
        f"/console/runs/{refused}?done=retry",
    )
    assert [message.run_id for message in reply.messages] == [refused]  # type: ignore[union-attr]
    last = service.manifest.get(refused).run.history[-1]
    assert (last.cause, last.by) == ("the contract was fixed", "ada")
    assert "Retry started" in browser.open(f"/console/runs/{refused}", done="retry").text


def test_a_form_that_is_sent_twice_is_done_once(service: Landfall, refused: str) -> None:
    """Its key makes the second the same request."""
    browser, url = Browser.signed_in(service), f"/console/runs/{refused}/replay"
    page = browser.open(url)
    for _ in range(2):
        assert browser.fill(page, url, reason="again").status == 303
    events = [line.event for line in service.manifest.get(refused).run.history]
    assert events.count("replay_raw") == 1


def test_two_operators_at_once(service: Landfall, refused: str) -> None:
    """The slower one is told what stands against it, and keeps what was written."""
    ada, bob = (Browser.signed_in(service, name=name) for name in ("ada", "bob"))
    url = f"/console/runs/{refused}"
    mine, theirs = ada.open(f"{url}/retry"), bob.open(f"{url}/replay")
    assert ada.fill(mine, f"{url}/retry", reason="mine").status == 303
    reply = bob.fill(theirs, f"{url}/replay", reason="theirs")
    assert reply.status == 409
    assert b"only a run that has ended is replayed" in reply.body
    assert b"theirs" in reply.body


def test_a_session_that_ends_in_the_middle_of_a_verb(
    service: Landfall, refused: str, clock: Clock
) -> None:
    """Nothing is done, it is said so, and the reason is given back."""
    browser, url = Browser.signed_in(service), f"/console/runs/{refused}/retry"
    page = browser.open(url)
    clock.turn(hours=13)
    reply = browser.fill(page, url, reason="a long story")
    assert reply.status == 401
    assert b"nothing was changed" in reply.body
    assert b"a long story" in reply.body
    assert service.manifest.get(refused).run.state is State.QUARANTINED


@pytest.mark.parametrize("origin", ["https://evil.example", "null", ""])
def test_a_form_of_another_page_is_not_taken(service: Landfall, refused: str, origin: str) -> None:
    """Whatever it carries: browsers say where a form comes from."""
    browser, url = Browser.signed_in(service), f"/console/runs/{refused}/retry"
    page = browser.open(url)
    browser.headers["origin"] = origin
    assert browser.fill(page, url, reason="evil").status == 403
    assert service.manifest.get(refused).run.state is State.QUARANTINED


def test_a_form_of_another_person_is_not_taken(service: Landfall, refused: str) -> None:
    """The token of a form is of the session that it was made for."""
    url = f"/console/runs/{refused}/retry"
    page = Browser.signed_in(service).open(url)
    assert Browser.signed_in(service).fill(page, url, reason="x").status == 403


def test_in_azure_forms_carry_a_token_too(service: Landfall, refused: str) -> None:
    """Signed with a key that all instances have from the lake."""
    browser = Browser(service, env=AZURE, headers=principal("Operator"))
    url = f"/console/runs/{refused}/retry"
    page = browser.open(url)
    assert browser.fill(page, url, reason="r", token="no").status == 403
    assert browser.fill(page, url, reason="r").status == 303
    assert service.manifest.get(refused).run.history[-1].by == "ada@example.com"


def test_corrected_rejects_are_sent_as_a_file(service: Landfall, refused: str) -> None:
    """The file becomes a run, linked both ways; a form without one says so."""
    browser, url = Browser.signed_in(service), f"/console/runs/{refused}/resend"
    page = browser.open(url)
    fields = {
        e.attributes["name"]: e.attributes["value"]
        for e in page.all("input", type="hidden")
        if e.attributes["name"] in ("token", "key")
    }
    content = users([1234567, int(refused[-6:], 16) + 10**9]).encode() + b"\r\n--x\r\n"
    for body, status in ((b"", 422), (content, 303)):
        parts = [
            f'--bb\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n'.encode()
            for n, v in fields.items()
        ]
        parts.append(
            b'--bb\r\nContent-Disposition: form-data; name="file"; filename="C:\\a\\fixed.csv"\r\n'
            b"Content-Type: text/csv\r\n\r\n" + body + b"\r\n--bb--\r\n"
        )
        reply = browser.send("POST", url, b"".join(parts), kind="multipart/form-data; boundary=bb")
        assert reply.status == status, reply.body
    child = reply.headers["Location"].split("/")[-1].partition("?")[0]
    run = service.manifest.get(child).run
    assert run.resend is not None
    assert run.resend.of == refused
    assert run.name == "fixed.csv"
    raw = paths.raw_file("users", child, run.source.path)
    assert service.lake.get(raw)[0] == content
    assert f"Corrected by {child}" in browser.open(f"/console/runs/{refused}").text


def test_many_runs_are_counted_before_they_are_replayed(service: Landfall, refused: str) -> None:
    """First which they are, then with a reason all of them; the page of it says how far it is."""
    browser = Browser.signed_in(service)
    page = browser.open("/console/replay", dataset="users", state="quarantined")
    asked = {"dataset": "users", "state": "quarantined", "from": "raw"}
    day = f"{service.clock() + timedelta(days=1):%Y-%m-%d}"
    reply = browser.fill(page, "/console/replay", **asked, landed_to=day, step="count")
    assert reply.status == 200
    assert b"would be replayed" in reply.body
    assert refused.encode() in reply.body
    reply = browser.fill(page, "/console/replay", **asked, reason="all", step="confirmed")
    assert reply.status == 303
    assert len(reply.messages) == 1
    text = browser.open(reply.headers["Location"]).text
    assert "In progress" in text
    assert "Requested by ada" in text
    bad = browser.fill(page, "/console/replay", **asked, landed_to="soon", step="count")
    assert bad.status == 422
    assert b"not an ISO 8601 time" in bad.body


def test_a_drop_is_uploaded_by_a_link_for_one_file(
    service: Landfall, storage_account: StorageAccount
) -> None:
    """The link creates that file and no other, cannot write over it, and cannot read."""
    browser = Browser.signed_in(service)
    page = browser.open("/console/upload")
    reply = browser.fill(page, "/console/upload", dataset="users", name="by hand.csv")
    assert reply.status == 200
    page = browser.open("/console/upload")
    browser.fill(page, "/console/upload", dataset="users", name="by hand.csv")
    (form,) = [
        e for e in Html(browser.last.body.decode()).all("form") if "data-url" in e.attributes
    ]
    url = form.attributes["data-url"]
    origin = "/".join(url.split("/")[:3])
    assert f"connect-src 'self' {origin};" in browser.last.headers["Content-Security-Policy"]
    headers = {"x-ms-blob-type": "BlockBlob", "If-None-Match": "*"}
    other = url.replace("by%20hand", "another")
    assert httpx.put(other, content=b"x", headers=headers).status_code == 403
    assert httpx.get(url).status_code == 403
    assert httpx.put(url, content=b"user_id\n1\n", headers=headers).status_code == 201
    assert httpx.put(url, content=b"other", headers=headers).status_code == 409
    version = storage_account.lake.head("landing/users/by hand.csv")
    assert version is not None
    assert browser.fill(page, "/console/upload", dataset="users", name="by hand.csv").status == 409


def test_an_expired_or_foreign_upload_link_is_refused(
    storage_account: StorageAccount, clock: Clock
) -> None:
    """The lake checks expiry and signature; nothing lands."""
    clock.turn(hours=-3)
    browser = Browser.signed_in(ServiceHarness(storage_account, clock).service)
    page = browser.open("/console/upload")
    browser.fill(page, "/console/upload", dataset="users", name="late.csv")
    (form,) = [
        e for e in Html(browser.last.body.decode()).all("form") if "data-url" in e.attributes
    ]
    url = form.attributes["data-url"]
    headers = {"x-ms-blob-type": "BlockBlob", "If-None-Match": "*"}
    expired = httpx.put(url, content=b"user_id\n1\n", headers=headers)
    assert expired.status_code == 403
    later = re.sub("(?<=[?&]se=)[^&]*", quote(f"{clock() + timedelta(days=1):%FT%TZ}"), url)
    assert later != url
    foreign = httpx.put(later, content=b"user_id\n1\n", headers=headers)
    assert foreign.status_code == 403
    assert "signature" in foreign.text.lower()
    assert storage_account.lake.head("landing/users/late.csv") is None


@pytest.mark.parametrize("name", ["", "a/b.csv", "../x.csv", "x.tmp", "_SUCCESS", "a\x01.csv"])
def test_a_name_that_is_no_drop_gets_no_link(service: Landfall, name: str) -> None:
    """Markers, temporary files and other folders are not for people."""
    browser = Browser.signed_in(service)
    page = browser.open("/console/upload")
    assert browser.fill(page, "/console/upload", dataset="users", name=name).status == 422


def test_an_object_of_a_source_is_paused_and_resumed(service: Landfall) -> None:
    """With a reason; the page says so, and what cannot be is said on the form."""
    browser, url = Browser.signed_in(service), "/console/sources/shop/orders"
    page = browser.open(f"{url}/pause")
    assert browser.fill(page, f"{url}/pause", reason="").status == 422
    assert browser.fill(page, f"{url}/pause", reason="a migration").status == 303
    assert "paused: schedules skip it" in browser.open(url).text
    page = browser.open(f"{url}/resume")
    assert browser.fill(page, f"{url}/resume", reason="done").status == 303
    assert "paused" not in browser.open(url).text
    page = browser.open(f"{url}/extract")
    reply = browser.fill(page, f"{url}/extract", **{"from": "yesterday", "to": ""})
    assert reply.status == 422
    page = browser.open(f"{url}/rewind")
    reply = browser.fill(page, f"{url}/rewind", to="2026-11-01T00:00:00Z", reason="late rows")
    assert reply.status == 303


# -- what comes in -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b"{}"),
        ("", b""),
        ("multipart/form-data", b"--x"),
        ("multipart/form-data; boundary=x", b"--x\r\nno name"),
        ("multipart/form-data; boundary=x", b'--x\r\nA: name="a"\r\n\r\ncut off'),
        ("application/x-www-form-urlencoded", b"\xff\xfe"),
        ("application/x-www-form-urlencoded", b"a=1&" * 200),
    ],
)
def test_what_is_no_form_is_a_clear_error(kind: str, body: bytes) -> None:
    """400, 413 or 415, never an error of the service."""
    request = ConsoleRequest("POST", "", headers={"content-type": kind}, body=body)
    with pytest.raises(BadRequest):
        request.form()


def test_a_form_with_files_is_read_byte_by_byte() -> None:
    """Whatever is in a file, line ends and what looks like a boundary among it."""
    content = bytes(range(256)) + b"\r\n--bbound\r\n\r\n" + b"--b"
    body = (
        b'--bb\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xc3\xa9\r\n'
        b'--bb\r\nContent-Disposition: form-data; name="f"; filename="a%22b.csv"\r\n\r\n'
        + content
        + b"\r\n--bb--\r\n"
    )
    headers = {"content-type": 'multipart/form-data; boundary="bb"'}
    form = ConsoleRequest("POST", "", headers=headers, body=body).form()
    assert form.text("a") == "é"
    assert (form.files["f"].name, form.files["f"].content) == ('a"b.csv', content)


def test_the_host_of_a_form_is_compared_whole() -> None:
    """Another port or a longer name is another origin."""
    for origin in (f"https://{HOST}:8443", f"https://{HOST}.evil.example", "https://"):
        headers = {"host": HOST, "origin": origin}
        assert not ConsoleRequest("POST", "", headers=headers).same_origin
    assert not ConsoleRequest("POST", "", headers={"origin": ""}).same_origin


def test_the_key_of_forms_is_made_once(storage_account: StorageAccount) -> None:
    """Two instances sign alike."""
    person = Person("ada", Role.OPERATOR, "s")
    one, other = (SignIn(platform=True, key=None) for _ in range(2))
    assert one.form_token(person, storage_account.lake) == other.form_token(
        person, storage_account.lake
    )
    assert identity.SESSION <= timedelta(hours=12)
