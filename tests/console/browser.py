"""The console as a browser without scripts uses it: cookies kept, forms filled in, HTML checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from html.parser import HTMLParser
from urllib.parse import urlencode, urlsplit

from ingest.console.app import Console, ConsoleRequest
from ingest.console.identity import Role, link_token
from ingest.console.web import ConsoleResponse
from ingest.ports import Clock
from ingest.service import Landfall
from tests.console.seeded import KEY
from tests.ingest.conftest import REPOSITORY

HOST = "console.example"
INLINE = {"a", "b", "i", "span", "code", "time"}
VOID = {"meta", "link", "input", "br", "img", "hr"}
ENV = {
    "LANDFALL_CONSOLE_KEY": KEY,
    "LANDFALL_LAKE": "AccountName=a;AccountKey=k",
    "LANDFALL_ADF_SUBSCRIPTION": "s",
    "LANDFALL_ADF_RESOURCE_GROUP": "g",
    "LANDFALL_ADF_FACTORY": "f",
    "DATABRICKS_HOST": "http://localhost",
}


@dataclass
class Element:
    """An element of a page, with the text in it."""

    tag: str
    attributes: dict[str, str]
    text: str = ""


class Html(HTMLParser):
    """A page that is read strictly: what is opened is closed, ids are there once.

    Raises:
        AssertionError: it is not.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(text)
        self.close()
        assert self._open == [], self._open
        ids = [e.attributes["id"] for e in self.elements if "id" in e.attributes]
        assert len(ids) == len(set(ids)), sorted(i for i in ids if ids.count(i) > 1)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        assert len(element.attributes) == len(attrs), f"{tag} has an attribute twice"
        self.elements.append(element)
        self._apart(tag)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        self._apart(tag)
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop().tag == tag, f"</{tag}> closes another element"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def _apart(self, tag: str) -> None:
        if tag not in INLINE:
            self.handle_data(" ")

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """The elements of a tag with these attributes."""
        return [
            element
            for element in self.elements
            if element.tag == tag
            and all(element.attributes.get(k.rstrip("_")) == v for k, v in attributes.items())
        ]

    @property
    def text(self) -> str:
        """What the main part says, blanks run together."""
        return " ".join(self.all("main")[0].text.split())


@dataclass
class Browser:
    """Somebody at a console."""

    service: Landfall
    env: Mapping[str, str] = field(default_factory=lambda: dict(ENV))
    cookie: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    last: ConsoleResponse = field(init=False)

    @classmethod
    def signed_in(cls, service: Landfall, name: str = "ada", role: Role = Role.OPERATOR) -> Browser:
        """Somebody who followed a link."""
        browser = cls(service)
        reply = browser.send("GET", "/console/signin", token=link(service.clock, name, role))
        assert reply.status == 303, reply.body
        assert reply.cookie is not None
        browser.cookie = reply.cookie.partition(";")[0]
        return browser

    def send(
        self, method: str, url: str, body: bytes = b"", /, *, kind: str = "", **query: str
    ) -> ConsoleResponse:
        """Send a request as a browser does from a page of the same host."""
        parts = urlsplit(url)
        asked = dict(pair.split("=", 1) for pair in parts.query.split("&") if "=" in pair)
        headers = {"host": HOST, "cookie": self.cookie, "content-type": kind}
        if method == "POST":
            headers["origin"] = f"https://{HOST}"
        path = parts.path.removeprefix("/console").strip("/")
        request = ConsoleRequest(method, path, {**asked, **query}, headers | self.headers, body)
        console = Console(lambda: self.service, self.env, REPOSITORY, lambda: {"lake": "ok"})
        self.last = console.answer(request)
        return self.last

    def open(self, url: str, status: int = 200, **query: str) -> Html:
        """Look at a page."""
        reply = self.send("GET", url, **query)
        assert reply.status == status, (reply.status, reply.body[:2000])
        return Html(reply.body.decode())

    def fill(self, page: Html, action: str, **values: str) -> ConsoleResponse:
        """Send the form of a page that goes to an address, with what was filled in."""
        (form,) = page.all("form", action=action, method="post")
        at = page.elements.index(form)
        fields = {
            e.attributes["name"]: e.attributes.get("value", "")
            for e in page.elements[at:]
            if e.tag == "input" and e.attributes.get("type") == "hidden"
        }
        body = urlencode(fields | values).encode()
        return self.send("POST", action, body, kind="application/x-www-form-urlencoded")


def link(clock: Clock, name: str = "ada", role: Role = Role.OPERATOR, minutes: int = 5) -> str:
    """The token of a link that signs in once."""
    return link_token(KEY, name, role, clock(), timedelta(minutes=minutes))
