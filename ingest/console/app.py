"""The console: finds the page that a browser asks for, and who may see it.

Nothing is shown to somebody who is not signed in. What is posted has to come from a page of this
host, with the token of the person's own forms, and changes something only by the API's own verbs.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ingest.console import identity, render
from ingest.console.identity import NotAllowed, Person, SignIn
from ingest.console.reads import Reads
from ingest.console.web import ConsoleRequest, ConsoleResponse, Form, redirect
from ingest.errors import BadRequest, LandfallError, Misconfigured, NotFound
from ingest.http.web import problem
from ingest.log import log
from ingest.service import Landfall

__all__ = ["Console", "ConsoleRequest", "Visit"]


@dataclass(frozen=True)
class Visit:
    """One request of a person who is signed in.

    Attributes:
        route: the parts of the path that the route names.
    """

    console: Console
    request: ConsoleRequest
    route: Mapping[str, str]
    person: Person
    reads: Reads

    @property
    def service(self) -> Landfall:
        """What answers."""
        return self.reads.service

    @cached_property
    def form(self) -> Form:
        """What was posted.

        Raises:
            BadRequest: it is no form, or not one of this person's pages.
        """
        form = self.request.form()
        token = self.token
        if not self.request.same_origin or not hmac.compare_digest(
            form.text("token").encode(), token.encode()
        ):
            raise NotAllowed(
                "the form does not come from a page of this console as you are signed in now: "
                "nothing was done; go back, load the page again and send it from there"
            )
        return form

    @property
    def order(self) -> Form:
        """What was posted by somebody who may change something.

        Raises:
            BadRequest: as `form`, or they may not.
        """
        form = self.form
        if not self.person.acts:
            raise NotAllowed(f"your role is {self.person.role}: this needs the role Operator")
        return form

    @cached_property
    def token(self) -> str:
        """What a form has to carry."""
        return self.console.sign_in.form_token(self.person, self.service.lake)

    def page(
        self, template: str, values: Mapping[str, Any], *, status: int = 200, uploads: str = ""
    ) -> ConsoleResponse:
        """A page for this person."""
        common = {
            "person": self.person,
            "path": self.request.path,
            "done": self.request.query.get("done", ""),
            "platform": self.console.sign_in.platform,
            "token": self.token,
        }
        known = self.request.headers.get("if-none-match", "")
        return render.page(
            template,
            {**common, **values},
            self.reads.now,
            status=status,
            known=known,
            uploads=uploads,
        )


Handler = Callable[[Visit], ConsoleResponse]


@dataclass(frozen=True)
class Console:
    """The console of one process.

    Attributes:
        service: makes or finds the service; may raise Misconfigured.
        env: the app settings.
        app: the folder of function_app.py.
        probe: tells each part of the service with `ok` or what is wrong with it.
    """

    service: Callable[[], Landfall]
    env: Mapping[str, str]
    app: Path
    probe: Callable[[], Mapping[str, str]]

    @property
    def sign_in(self) -> SignIn:
        """How people sign in here."""
        return SignIn.of(self.env)

    def answer(self, request: ConsoleRequest) -> ConsoleResponse:
        """The answer to any request; whatever goes wrong becomes a page that says so."""
        try:
            reply = self._answer(request)
        except LandfallError as error:
            status, title = problem(error)
            log.info("console: %s: %s", type(error).__name__, error)
            reply = self._said(request, status, title, str(error))
        except Exception:  # noqa: BLE001 - a person gets a page, the log the rest
            log.exception("console: %s %s failed", request.method, request.path)
            reply = self._said(request, 500, "Internal error", "see the service's log")
        return reply.compressed(request.headers.get("accept-encoding", ""))

    def _answer(self, request: ConsoleRequest) -> ConsoleResponse:
        if request.method == "GET" and request.path.startswith("static/"):
            file = render.asset(request.path)
            if file is None:
                raise NotFound("there is no such file")
            return file
        service = self.service()
        now = service.clock()
        if request.path == "signin":
            return self._signed_in(request, service, now)
        person = self.sign_in.person(request.headers, request.cookie(identity.COOKIE), now)
        if person is None:
            return self._unknown(request, now)
        from ingest.console.routes import ROUTES  # noqa: PLC0415 - it imports this module

        for method, pattern, handler in ROUTES:
            if method == request.method and (found := re.fullmatch(pattern, request.path)):
                visit = Visit(self, request, found.groupdict(), person, Reads(service, now))
                return handler(visit)
        raise NotFound("there is no such page")

    def _signed_in(
        self, request: ConsoleRequest, service: Landfall, now: datetime
    ) -> ConsoleResponse:
        """Follow a link that signs in once."""
        key = self.sign_in.key
        begun = key and identity.begin(key, request.query.get("token", ""), service.lake, now)
        if not begun:
            return self._unknown(request, now, "this link was used before or has expired")
        person, session = begun
        log.info("console: %s signed in as %s", person.name, person.role)
        return redirect("/console/", identity.set_cookie(session, secure=request.secure))

    def _unknown(
        self, request: ConsoleRequest, now: datetime, why: str | None = None
    ) -> ConsoleResponse:
        """What somebody sees who is not signed in: how to sign in, and no more.

        Somebody whose session ended while they filled in a form gets their reason back.
        """
        here = f"/console/{request.path}"
        login = f"/.auth/login/aad?post_login_redirect_uri={quote(here, safe='')}"
        if self.sign_in.platform and request.method == "GET" and why is None:
            return redirect(login)
        posted = request.method == "POST"
        try:
            written = request.form().text("reason") if posted else ""
        except BadRequest:
            written = ""
        values = {
            "login": login if self.sign_in.platform else None,
            "posted": posted,
            "why": why,
            "written": written,
            "back": here,
        }
        return render.page("signin.html", values, now, status=401)

    def _said(
        self, request: ConsoleRequest, status: int, title: str, detail: str
    ) -> ConsoleResponse:
        """A page about what went wrong; to somebody unknown not even what."""
        now = _now(self)
        values: dict[str, Any] = {"status": status, "title": title, "detail": detail}
        try:
            person = self.sign_in.person(request.headers, request.cookie(identity.COOKIE), now)
        except LandfallError:
            person = None
        if person is None and status != 403:  # noqa: PLR2004 - the platform knows those
            values |= {"detail": "See the log of the service.", "title": "This did not work"}
        return render.page("error.html", values, now, status=status)


def _now(console: Console) -> datetime:
    from ingest.wiring import utc_now  # noqa: PLC0415 - where the service cannot be made

    try:
        return console.service().clock()
    except Misconfigured:
        return utc_now()
