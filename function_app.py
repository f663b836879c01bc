"""Triggers and routes: each decodes what it is given, calls the service, and returns.

Function names are part of the contract with Event Grid and Data Factory: an event for a name that
does not exist is answered 202 and lost. A test holds them fast.
"""

import logging
import os
from importlib import import_module
from typing import List  # noqa: UP035 - see Messages

import azure.functions as func
from azurefunctions.extensions.bindings import blob

from ingest import log, wiring
from ingest.errors import LandfallError
from ingest.http import api, api_verbs, contracts, web
from ingest.http.routes import binding
from ingest.runs.messages import QUEUE, Message, decode, encode

STORAGE = "AzureWebJobsStorage"

# The worker knows typing's List and refuses the built-in list as the type of an output.
Messages = func.Out[List[str]]  # noqa: UP006

# Imported by their first call: a cold start that extracts and erases nothing does without.
sources = wiring.Lazy(lambda: import_module("ingest.http.sources"))
erasures = wiring.Lazy(lambda: import_module("ingest.http.erasures"))

log.configure()
app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


@app.blob_trigger(
    arg_name="landed",
    path="landing/{dataset}/{name}",
    connection="LANDFALL_LAKE",
    source=func.BlobSource.EVENT_GRID,
)
@app.queue_output(arg_name="todo", queue_name=QUEUE, connection=STORAGE)
def on_landing(landed: blob.BlobClient, todo: Messages) -> None:
    """A file has landed: claim it. Its content is not read here.

    What keeps it from being claimed is no reason to fail: the tick sweeps `landing`. A failure
    would be tried again at once, and then go to a poison queue of the lake's account; a host that
    cannot reach that queue ends.
    """
    path = f"{landed.container_name}/{landed.blob_name}"
    try:
        _send(todo, wiring.service().on_landing(path))
    except LandfallError as error:
        log.log.warning("%s is left to the tick: %s: %s", path, type(error).__name__, error)


@app.route(**binding("ingest"))
@app.queue_output(arg_name="todo", queue_name=QUEUE, connection=STORAGE)
def ingest(req: func.HttpRequest, todo: Messages) -> func.HttpResponse:
    """Take in the named file."""
    return _respond(api.ingest, req, todo)


@app.queue_trigger(arg_name="msg", queue_name=QUEUE, connection=STORAGE)
@app.queue_output(arg_name="todo", queue_name=QUEUE, connection=STORAGE)
def advance(msg: func.QueueMessage, todo: Messages) -> None:
    """Take one run, or the load of one dataset, one step further."""
    _send(todo, wiring.service().handle(decode(msg.get_body()), msg.dequeue_count or 1))


@app.queue_trigger(arg_name="msg", queue_name=f"{QUEUE}-poison", connection=STORAGE)
def advance_poison(msg: func.QueueMessage) -> None:
    """A message was given up on by the queue: say so; the tick takes its run up again."""
    wiring.service().handle_poison_message(msg.get_body(), msg.id or "")


@app.timer_trigger(arg_name="timer", schedule="%LANDFALL_TICK%")
@app.queue_output(arg_name="todo", queue_name=QUEUE, connection=STORAGE)
def reconcile(timer: func.TimerRequest, todo: Messages) -> None:
    """One tick: find what can move, and what has landed unannounced."""
    if timer.past_due:
        logging.getLogger("landfall").info("the tick is late")
    _send(todo, wiring.service().tick())


@app.route(**binding("list_runs"))
def list_runs(req: func.HttpRequest) -> func.HttpResponse:
    """The latest runs."""
    return _respond(api.list_runs, req)


@app.route(**binding("get_run"))
def get_run(req: func.HttpRequest) -> func.HttpResponse:
    """One run with its history."""
    return _respond(api.get_run, req)


@app.route(**binding("get_report"))
def get_report(req: func.HttpRequest) -> func.HttpResponse:
    """What validation found."""
    return _respond(api.get_report, req)


@app.route(**binding("cancel_run"))
def cancel_run(req: func.HttpRequest) -> func.HttpResponse:
    """End a run that is not loading yet."""
    return _respond(api_verbs.cancel_run, req)


@app.route(**binding("retry_run"))
@app.queue_output(arg_name="todo", queue_name=QUEUE, connection=STORAGE)
def retry_run(req: func.HttpRequest, todo: Messages) -> func.HttpResponse:
    """Take up an ended run again."""
    return _respond(api_verbs.retry_run, req, todo)


@app.route(**binding("replay_run"))
@app.queue_output(arg_name="todo", queue_name=QUEUE, connection=STORAGE)
def replay_run(req: func.HttpRequest, todo: Messages) -> func.HttpResponse:
    """Take an ended run through all of it again."""
    return _respond(api_verbs.replay_run, req, todo)


@app.route(**binding("resend_rejects"))
@app.queue_output(arg_name="todo", queue_name=QUEUE, connection=STORAGE)
def resend_rejects(req: func.HttpRequest, todo: Messages) -> func.HttpResponse:
    """Take in corrected rejects of a run."""
    return _respond(api_verbs.resend_rejects, req, todo)


@app.route(**binding("start_replay"))
@app.queue_output(arg_name="todo", queue_name=QUEUE, connection=STORAGE)
def start_replay(req: func.HttpRequest, todo: Messages) -> func.HttpResponse:
    """Replay the ended runs that a query means."""
    return _respond(api_verbs.start_replay, req, todo)


@app.route(**binding("get_replay"))
def get_replay(req: func.HttpRequest) -> func.HttpResponse:
    """How far a replay is."""
    return _respond(api_verbs.get_replay, req)


@app.route(**binding("forget"))
@app.queue_output(arg_name="todo", queue_name=QUEUE, connection=STORAGE)
def forget(req: func.HttpRequest, todo: Messages) -> func.HttpResponse:
    """Erase a subject from all that is kept of a dataset."""
    return _respond(erasures.forget, req, todo)


@app.route(**binding("list_erasures"))
def list_erasures(req: func.HttpRequest) -> func.HttpResponse:
    """The erasures, and how far they are."""
    return _respond(erasures.list_erasures, req)


@app.route(**binding("get_erasure"))
def get_erasure(req: func.HttpRequest) -> func.HttpResponse:
    """One erasure, and what was erased where."""
    return _respond(erasures.get_erasure, req)


@app.route(**binding("get_backlog"))
def get_backlog(req: func.HttpRequest) -> func.HttpResponse:
    """How much is on its way, what waits, and for what."""
    return _respond(api.get_backlog, req)


@app.route(**binding("list_datasets"))
def list_datasets(req: func.HttpRequest) -> func.HttpResponse:
    """What may be dropped, and how it must look."""
    return _respond(api.list_datasets, req)


@app.route(**binding("get_contract"))
def get_contract(req: func.HttpRequest) -> func.HttpResponse:
    """The contract of a dataset that is in force."""
    return _respond(contracts.get_contract, req)


@app.route(**binding("put_contract"))
def put_contract(req: func.HttpRequest) -> func.HttpResponse:
    """Put a version of a contract in force."""
    return _respond(contracts.put_contract, req)


@app.route(**binding("delete_contract"))
def delete_contract(req: func.HttpRequest) -> func.HttpResponse:
    """Take back a contract that was put in force."""
    return _respond(contracts.delete_contract, req)


@app.route(**binding("console"))
def console(req: func.HttpRequest) -> func.HttpResponse:
    """A page of the console, for those who are signed in."""
    return _browse(req)


@app.route(**binding("console_verb"))
@app.queue_output(arg_name="todo", queue_name=QUEUE, connection=STORAGE)
def console_verb(req: func.HttpRequest, todo: Messages) -> func.HttpResponse:
    """What somebody asks for in the console."""
    return _browse(req, todo)


@app.route(**binding("docs"))
def docs(req: func.HttpRequest) -> func.HttpResponse:
    """The page of the API, for those who are signed in to the console."""
    return _browse(req, path="api")


@app.route(**binding("openapi"))
def openapi(req: func.HttpRequest) -> func.HttpResponse:
    """The description of this API, as OpenAPI 3.1."""
    from ingest.http.openapi.document import get_document  # noqa: PLC0415 - seldom asked for

    return _respond(get_document, req)


@app.route(**binding("fence"))
def fence(req: func.HttpRequest) -> func.HttpResponse:
    """Data Factory asks whether this pipeline run may copy."""
    return _respond(api.fence, req)


@app.route(**binding("callback"))
@app.queue_output(arg_name="todo", queue_name=QUEUE, connection=STORAGE)
def callback(req: func.HttpRequest, todo: Messages) -> func.HttpResponse:
    """Data Factory says that a copy has ended."""
    return _respond(api.callback, req, todo)


@app.route(**binding("list_sources"))
def list_sources(req: func.HttpRequest) -> func.HttpResponse:
    """The sources, and where their objects stand."""
    return _respond(sources.list_sources, req)


@app.route(**binding("get_source"))
def get_source(req: func.HttpRequest) -> func.HttpResponse:
    """One source."""
    return _respond(sources.get_source, req)


@app.route(**binding("get_source_object"))
def get_source_object(req: func.HttpRequest) -> func.HttpResponse:
    """One object of a source with its latest extracts."""
    return _respond(sources.get_object, req)


@app.route(**binding("get_source_run"))
def get_source_run(req: func.HttpRequest) -> func.HttpResponse:
    """A pipeline run that extracts a source."""
    return _respond(sources.get_run, req)


@app.route(**binding("plan_extracts"))
def plan_extracts(req: func.HttpRequest) -> func.HttpResponse:
    """Data Factory asks what a pipeline run shall read."""
    return _respond(sources.plan, req)


@app.route(**binding("extract_source"))
def extract_source(req: func.HttpRequest) -> func.HttpResponse:
    """Start the extraction of a source."""
    return _respond(sources.extract, req)


@app.route(**binding("begin_extract"))
@app.queue_output(arg_name="todo", queue_name=QUEUE, connection=STORAGE)
def begin_extract(req: func.HttpRequest, todo: Messages) -> func.HttpResponse:
    """Data Factory asks whether this pipeline run may read an object."""
    return _respond(sources.begin, req, todo)


@app.route(**binding("finish_extract"))
@app.queue_output(arg_name="todo", queue_name=QUEUE, connection=STORAGE)
def finish_extract(req: func.HttpRequest, todo: Messages) -> func.HttpResponse:
    """Data Factory says that it has written what it read."""
    return _respond(sources.finish, req, todo)


@app.route(**binding("fail_extract"))
def fail_extract(req: func.HttpRequest) -> func.HttpResponse:
    """Data Factory says that it could not read an object."""
    return _respond(sources.fail, req)


@app.route(**binding("extract_object"))
def extract_object(req: func.HttpRequest) -> func.HttpResponse:
    """Start the extraction of one object."""
    return _respond(sources.extract, req)


@app.route(**binding("rewind_object"))
def rewind_object(req: func.HttpRequest) -> func.HttpResponse:
    """Move the watermark of an object by hand."""
    return _respond(sources.rewind, req)


@app.route(**binding("pause_object"))
def pause_object(req: func.HttpRequest) -> func.HttpResponse:
    """Have schedules pass over an object."""
    return _respond(sources.pause, req)


@app.route(**binding("resume_object"))
def resume_object(req: func.HttpRequest) -> func.HttpResponse:
    """Have schedules extract an object again."""
    return _respond(sources.resume, req)


@app.route(**binding("health"))
def health(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the host passes it
    """Whether the service can work, and what keeps it from it."""
    return _http(api.health(wiring.probe))


def _respond(
    endpoint: web.Endpoint, req: func.HttpRequest, todo: Messages | None = None
) -> func.HttpResponse:
    request = web.ApiRequest(
        body=req.get_body(),
        content_type=req.headers.get("content-type", ""),
        query=web.given(req.params),
        route=dict(req.route_params),
        key=req.headers.get("idempotency-key", ""),
        accept=req.headers.get("accept", ""),
        caller=web.caller(req.headers, os.environ),
        chunked=req.method == "POST" and "transfer-encoding" in req.headers,
        known=req.headers.get("if-none-match") if req.method == "GET" else None,
        conditional=req.method == "GET",
    )
    reply = web.answer(endpoint, wiring.service, request)
    if todo is not None:
        _send(todo, reply.messages)
    return _http(reply)


def _browse(
    req: func.HttpRequest, todo: Messages | None = None, *, path: str | None = None
) -> func.HttpResponse:
    from ingest.console import app as pages  # noqa: PLC0415 - only the console needs templates

    request = pages.ConsoleRequest(
        method=req.method,
        path=(path or req.route_params.get("path", "")).strip("/"),
        query=web.given(req.params),
        headers={name.lower(): value for name, value in req.headers.items()},
        body=req.get_body(),
    )
    console = pages.Console(wiring.service, os.environ, wiring.APP, lambda: wiring.probe().lines())
    reply = console.answer(request)
    if todo is not None:
        _send(todo, reply.messages)
    headers = {**reply.headers, **({"Set-Cookie": reply.cookie} if reply.cookie else {})}
    return func.HttpResponse(
        reply.body, status_code=reply.status, headers=headers, mimetype=reply.content_type
    )


def _http(reply: web.ApiResponse) -> func.HttpResponse:
    return func.HttpResponse(
        reply.text(),
        status_code=reply.status,
        headers=dict(reply.headers),
        mimetype=reply.content_type,
        charset="utf-8",
    )


def _send(todo: Messages, messages: tuple[Message, ...] | list[Message]) -> None:
    if messages:
        todo.set([encode(message) for message in messages])
