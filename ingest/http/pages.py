"""The validation report of a run as a page for the producer of the file, made when it is asked for.

Nothing is kept beside the JSON: a page is the same whenever it is made, and a drop has no request
to spare for it.
"""

from __future__ import annotations

import json
from dataclasses import asdict

from ingest.errors import ContractMissing, Damaged, Retryable
from ingest.http.web import ApiRequest
from ingest.runs.document import run_json, summary
from ingest.runs.run import Run
from ingest.service import Landfall

HTML = "text/html"


def wants_page(request: ApiRequest) -> bool:
    """Whether a caller would rather have a page than JSON: a browser, or `?format=html`."""
    if (form := request.query.get("format")) is not None:
        return form == "html"
    offered = [part.partition(";")[0].strip().lower() for part in request.accept.split(",")]
    html, js = (offered.index(t) if t in offered else None for t in (HTML, "application/json"))
    return html is not None and (js is None or html < js)


def report_page(service: Landfall, run_id: str) -> str:
    """The page of a run's report.

    Raises:
        NotFound: there is no such run, or it has not been validated yet.
        Damaged: its report is of a release that this one does not understand.
    """
    # A page is rare, and templates take a while to load.
    from landfall.reporting.page import render_html  # noqa: PLC0415
    from landfall.reporting.provenance import provenance  # noqa: PLC0415
    from landfall.validation.report import Report  # noqa: PLC0415

    document = service.report(run_id)
    run = service.manifest.get(run_id, fresh=True).run
    try:
        report = Report.from_json(json.dumps(document))
    except (ValueError, KeyError, TypeError) as error:
        raise Damaged(f"the report of run {run_id} cannot be read: {error}") from error
    try:
        digest = run.verdict.digest if run.verdict else None
        contract = service.store.of(run.dataset, digest)
    except (ContractMissing, Retryable):
        contract = None
    return render_html(report, provenance(_shown(run), contract))


def _shown(run: Run) -> dict[str, object]:
    more = {"source": run.source, "verdict": run.verdict}
    plain = {name: asdict(value) if value else None for name, value in more.items()}
    document: dict[str, object] = json.loads(
        json.dumps(summary(run) | plain | {"raw": run.raw}, default=run_json)
    )
    return document
