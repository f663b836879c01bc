"""The worker library `azure-functions-runtime`, behind a small interface.

Its API is internal and pinned; this is the only module that knows it. The library speaks protobuf
messages of the host's gRPC protocol, of which it needs only attributes and `WhichOneof`, so plain
objects stand in for them. One app per process: a second `Worker` in a process fails.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any


class WorkerError(RuntimeError):
    """The worker could not load the app."""


class _Oneof(SimpleNamespace):
    """A protobuf message of which one field is set."""

    def WhichOneof(self, _group: str) -> str | None:  # noqa: N802 - the name in protobuf
        """Name of the field that is set."""
        return next(iter(vars(self)), None)


class _ParameterBinding(SimpleNamespace):
    def WhichOneof(self, _group: str) -> str:  # noqa: N802 - the name in protobuf
        return "data"


class _BindingInfo(SimpleNamespace):
    undefined = 0
    out = 1
    inout = 2


class _StatusResult(SimpleNamespace):
    Failure = 0
    Success = 1


class _Cookie(SimpleNamespace):
    SameSite = SimpleNamespace(**{"None": 0, "Lax": 1, "Strict": 2, "ExplicitNone": 3})


_PLAIN = (
    "FunctionLoadResponse",
    "FunctionMetadataResponse",
    "InvocationResponse",
    "NullableBool",
    "NullableDouble",
    "NullableString",
    "NullableTimestamp",
    "RpcException",
    "RpcFunctionMetadata",
    "RpcHttp",
    "RpcRetryOptions",
    "WorkerInitResponse",
    "WorkerMetadata",
)
_PROTOS = SimpleNamespace(
    BindingInfo=_BindingInfo,
    ParameterBinding=_ParameterBinding,
    RpcHttpCookie=_Cookie,
    StatusResult=_StatusResult,
    TypedData=_Oneof,
    **{name: type(name, (SimpleNamespace,), {}) for name in _PLAIN},
)


@dataclass(frozen=True)
class Loaded:
    """A function as the worker indexed it.

    Attributes:
        id: by which the worker is asked for it.
        trigger: its trigger binding, as the host gets it.
    """

    id: str
    trigger: Mapping[str, Any]


@dataclass(frozen=True)
class Result:
    """How an invocation ended.

    Attributes:
        error: what the worker reports as the exception; None on success.
        response: status, headers and body of an HTTP function.
        outputs: values of output bindings by name; lists as they travel, parsed.
    """

    error: str | None
    response: Mapping[str, Any] | None
    outputs: Mapping[str, Any]


class Worker:
    """The worker with one app loaded.

    Args:
        folder: the app folder; becomes the working directory.

    Raises:
        WorkerError: the app cannot be indexed; the message is the worker's.
    """

    def __init__(self, folder: Path) -> None:
        import azure_functions_runtime as library  # noqa: PLC0415 - only on Python 3.13 and later

        os.chdir(folder)
        sys.path.insert(0, str(folder))
        self._library = library
        self._loop = asyncio.new_event_loop()
        library.start_threadpool_executor()
        answer = self._ask(
            library.worker_init_request,
            worker_init_request=SimpleNamespace(
                capabilities={}, function_app_directory=str(folder)
            ),
        )
        _check(answer)
        answer = self._ask(library.functions_metadata_request, functions_metadata_request=None)
        _check(answer)
        self.functions: dict[str, Loaded] = {}
        for each in answer.function_metadata_results or ():
            bindings = [json.loads(raw) for raw in each.raw_bindings]
            trigger = next(each for each in bindings if each["type"].endswith("Trigger"))
            self.functions[each.name] = Loaded(each.function_id, trigger)
            request = SimpleNamespace(function_id=each.function_id)
            _check(self._ask(library.function_load_request, function_load_request=request))

    def close(self) -> None:
        """End the threads of the worker."""
        self._library.stop_threadpool_executor()
        self._loop.close()

    def http(self, name: str, request: Mapping[str, Any]) -> Result:
        """Invoke an HTTP function; keys: method, url, headers, query, params (route), body."""
        fields = {"method": "GET", "url": "", "headers": {}, "query": {}, "params": {}, "body": ""}
        fields |= request
        fields["body"] = _Oneof(bytes=str(fields["body"]).encode())
        return self._invoke(name, _Oneof(http=SimpleNamespace(**fields)), {})

    def queue(self, name: str, body: str) -> Result:
        """Invoke a queue-triggered function with a message."""
        stamp = "2026-11-22T13:00:00+00:00"
        metadata = {
            "Id": str(uuid.uuid4()),
            "DequeueCount": "1",
            "InsertionTime": stamp,
            "ExpirationTime": stamp,
            "NextVisibleTime": stamp,
            "PopReceipt": "receipt",
        }
        return self._invoke(
            name,
            _Oneof(string=body),
            {key: _Oneof(json=json.dumps(value)) for key, value in metadata.items()},
        )

    def blob(self, name: str, container: str, blob: str) -> Result:
        """Invoke a blob-triggered function that takes an SDK type."""
        connection = self.functions[name].trigger["connection"]
        content = {"Connection": connection, "ContainerName": container, "BlobName": blob}
        data = SimpleNamespace(
            version="1.0",
            source="AzureStorageBlobs",
            content_type="application/json",
            content=json.dumps(content).encode(),
        )
        return self._invoke(name, _Oneof(model_binding_data=data), {})

    def timer(self, name: str) -> Result:
        """Invoke a timer-triggered function."""
        return self._invoke(name, _Oneof(json=json.dumps({"IsPastDue": False})), {})

    def _invoke(self, name: str, data: _Oneof, metadata: Mapping[str, _Oneof]) -> Result:
        function = self.functions[name]
        request = SimpleNamespace(
            invocation_id=str(uuid.uuid4()),
            function_id=function.id,
            input_data=[_ParameterBinding(name=function.trigger["name"], data=data)],
            trigger_metadata=metadata,
            trace_context=SimpleNamespace(trace_parent="", trace_state="", attributes={}),
            retry_context=SimpleNamespace(retry_count=0, max_retry_count=0, exception=None),
        )
        answer = self._ask(self._library.invocation_request, invocation_request=request)
        if answer.result.status != _StatusResult.Success:
            return Result(answer.result.exception.message, None, {})
        outputs = {each.name: _plain(each.data) for each in answer.output_data}
        returned = answer.return_value
        return Result(None, _plain(returned) if returned is not None else None, outputs)

    def _ask(self, coroutine: Any, **request: Any) -> Any:
        message = SimpleNamespace(
            request=SimpleNamespace(**request),
            properties={"host": "127.0.0.1", "protos": _PROTOS},
        )
        return self._loop.run_until_complete(coroutine(message))


def _check(answer: Any) -> None:
    if answer.result.status != _StatusResult.Success:
        raise WorkerError(answer.result.exception.message)


def _plain(data: _Oneof) -> Any:
    kind = data.WhichOneof("data")
    value = getattr(data, kind or "")
    match kind:
        case "http":
            body = _plain(value.body)
            return {"status": int(value.status_code), "headers": value.headers, "body": body}
        case "json":
            return json.loads(value)
        case "bytes":
            return value.decode()
        case _:
            return value
