"""Which page is where, and what each shows or does."""

from __future__ import annotations

import json

from ingest.console import render, sources, verbs
from ingest.console.app import Handler, Visit
from ingest.console.identity import NotAllowed, set_cookie
from ingest.console.views import analytics, dataset, lineage, overview, run, runs, tables
from ingest.console.web import ConsoleResponse, redirect
from ingest.errors import BadRequest, Damaged, NotFound
from ingest.http.pages import report_page
from ingest.runs.run import Run
from ingest.settings import read
from landfall.protocol import is_run_id

_DOWNLOAD = 64 * 1024 * 1024
"""Bytes of rejects that are handed out; larger ones are fetched from the lake."""
_AZURE = "https://management.azure.com"


def _overview(visit: Visit) -> ConsoleResponse:
    values = overview.view(visit.reads) | {"health": visit.console.probe()}
    return visit.page("overview.html", values)


def _runs(visit: Visit) -> ConsoleResponse:
    filters = runs.Filter.of(visit.request.query)
    return visit.page("runs.html", runs.view(visit.reads, filters))


def run_of(visit: Visit) -> Run:
    """The run that a page is about.

    Raises:
        NotFound: there is none; Damaged: its document cannot be read.
    """
    run_id = visit.route["run_id"]
    if not is_run_id(run_id):
        raise NotFound(f"there is no run {run_id!r}")
    return visit.service.manifest.get(run_id, fresh=True).run


def _run(visit: Visit) -> ConsoleResponse:
    try:
        shown = run_of(visit)
    except Damaged as error:
        values = run.damaged(visit.reads, visit.route["run_id"], str(error))
        return visit.page("damaged.html", values, status=500)
    return visit.page("run.html", run.view(visit.reads, shown, visit.person, _factory(visit)))


def _factory(visit: Visit) -> str | None:
    """The resource id of the Data Factory, where it is one that has pages."""
    settings = read(visit.console.env, app=visit.console.app)
    if settings.adf_endpoint.rstrip("/") != _AZURE:
        return None
    return (
        f"/subscriptions/{settings.adf_subscription}/resourceGroups/{settings.adf_resource_group}"
        f"/providers/Microsoft.DataFactory/factories/{settings.adf_factory}"
    )


def _rejects(visit: Visit) -> ConsoleResponse:
    """The rejected rows as they were delivered: their values are not masked."""
    shown = run_of(visit)
    if not visit.person.acts:
        raise NotAllowed("rejected rows are not masked: this needs the role Operator")
    path = shown.verdict.rejects if shown.verdict else None
    if path is None:
        raise NotFound(f"run {shown.run_id} has no rejects")
    version = visit.service.lake.head(path)
    if version is None:
        raise NotFound(f"{path} no longer exists")
    if version.size > _DOWNLOAD:
        raise BadRequest(f"{path} has {version.size} bytes: fetch it from the lake", 413)
    body, _ = visit.service.lake.get(path)
    return render.download(body, "application/octet-stream", path.rsplit("/", 1)[-1])


def _report(visit: Visit) -> ConsoleResponse:
    shown = run_of(visit)
    report = visit.service.context.contents.report(shown)
    body = json.dumps(report, ensure_ascii=False, indent=2).encode(errors="replace")
    return render.download(body, "application/json", f"{shown.run_id}-report.json")


def _report_page(visit: Visit) -> ConsoleResponse:
    """The page that is made for the producer of the file, to be sent to them."""
    shown = run_of(visit)
    body = report_page(visit.service, shown.run_id).encode(errors="replace")
    return render.download(body, "text/html", f"{shown.run_id}-report.html")


def _datasets(visit: Visit) -> ConsoleResponse:
    return visit.page("datasets.html", dataset.index(visit.reads))


def _dataset(visit: Visit) -> ConsoleResponse:
    return visit.page("dataset.html", dataset.view(visit.reads, visit.route["dataset"]))


def _tables(visit: Visit) -> ConsoleResponse:
    return visit.page("tables.html", tables.index(visit.reads))


def _table(visit: Visit) -> ConsoleResponse:
    values = tables.view(visit.reads, visit.route["layer"], visit.route["table"])
    return visit.page("table.html", values)


def _analytics(visit: Visit) -> ConsoleResponse:
    return render.document(analytics.page(visit.service.lake))


def _lineage(visit: Visit) -> ConsoleResponse:
    return visit.page("lineage.html", lineage.view(visit.reads))


def _api(visit: Visit) -> ConsoleResponse:
    from ingest.http.openapi.document import document  # noqa: PLC0415 - only this page needs it

    return visit.page("api.html", {"api": document()})


def _sign_out(visit: Visit) -> ConsoleResponse:
    _ = visit.form  # checks where it comes from
    if visit.console.sign_in.platform:
        return redirect("/.auth/logout?post_logout_redirect_uri=/console/")
    gone = set_cookie("", secure=visit.request.secure, seconds=0)
    return redirect("/console/", gone)


_RUN = r"runs/(?P<run_id>[^/]{1,120})"
_OBJECT = r"sources/(?P<source>[A-Za-z0-9._-]{1,63})/(?P<object>[A-Za-z0-9._-]{1,100})"
_VERB = rf"{_RUN}/(?P<verb>retry|cancel|replay|resend)"

ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", r"", _overview),
    ("GET", r"runs/?", _runs),
    ("GET", _RUN, _run),
    ("GET", rf"{_RUN}/rejects", _rejects),
    ("GET", rf"{_RUN}/report", _report),
    ("GET", rf"{_RUN}/page", _report_page),
    ("GET", _VERB, verbs.ask),
    ("POST", _VERB, verbs.do),
    ("GET", r"replay", verbs.ask_many),
    ("POST", r"replay", verbs.do_many),
    ("GET", r"replays/(?P<replay_id>[0-9a-z]{1,64})", verbs.replay),
    ("GET", r"upload", verbs.ask_upload),
    ("POST", r"upload", verbs.do_upload),
    ("GET", r"datasets/?", _datasets),
    ("GET", r"datasets/(?P<dataset>[a-z0-9_]{1,63})", _dataset),
    ("GET", r"tables/?", _tables),
    ("GET", r"tables/(?P<layer>silver|gold)/(?P<table>[A-Za-z0-9_]{1,100})", _table),
    ("GET", r"sources/?", sources.index),
    ("GET", _OBJECT, sources.show),
    ("GET", rf"{_OBJECT}/(?P<verb>{sources.VERBS})", sources.ask),
    ("POST", rf"{_OBJECT}/(?P<verb>{sources.VERBS})", sources.do),
    ("GET", r"analytics/?", _analytics),
    ("GET", r"lineage/?", _lineage),
    ("GET", r"api/?", _api),
    ("POST", r"signout", _sign_out),
)
"""Method, path below `/console/`, and what answers."""
