"""Import an app folder and read its functions, as the Python worker does when it indexes an app."""

from __future__ import annotations

import importlib.util
import inspect
import json
import re
import sys
import typing
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from azure.functions import FunctionRegister
from azure.functions.decorators.function_app import Function as SdkFunction

from devcloud.functions.codec import converter_of
from devcloud.functions.model import OUTPUTS, QUEUE, RETURN, TRIGGERS, Binding, Function
from devcloud.functions.routing import RouteTemplate
from devcloud.functions.timers import Schedule

SCRIPT = "function_app.py"
_BUILT_IN = ("admin", "runtime")
_SETTING = re.compile(r"%([^%]+)%")


class AppLoadError(RuntimeError):
    """The app cannot be served; the message says which function or file, and why."""


def load(folder: Path, settings: Mapping[str, str]) -> list[Function]:
    """Import `function_app.py` of a folder and read its functions.

    Unlike the real host, which then serves no function and says little, a broken app is an error.

    Args:
        folder: the app folder; put first on `sys.path`.
        settings: the environment, for `%SETTING%` in bindings and for connections.

    Raises:
        AppLoadError: the import failed, there is not exactly one app, or a function has a binding
            that this host does not serve.
    """
    app = _only_app(_import(folder))
    try:
        sdk_functions = app.get_functions()  # once: a second call reports duplicate names
    except ValueError as error:
        raise AppLoadError(str(error)) from error
    functions = []
    for each in sdk_functions:
        name = each.get_function_name()
        try:
            functions.append(_function(str(name), each, settings))
        except (ValueError, TypeError, NameError, KeyError) as error:
            raise AppLoadError(f"cannot load the {name} function: {error}") from error
    return functions


def resolve(value: str, settings: Mapping[str, str]) -> str:
    """Replace each `%NAME%` by the app setting of that name.

    Raises:
        ValueError: there is no such setting.
    """

    def setting(match: re.Match[str]) -> str:
        name = match[1]
        if name not in settings:
            raise ValueError(f"'%{name}%' does not resolve to a value: add an app setting {name}")
        return settings[name]

    return _SETTING.sub(setting, value)


def _import(folder: Path) -> ModuleType:
    path = folder / SCRIPT
    if not path.is_file():
        raise AppLoadError(f"{path} does not exist: name the folder of a Python v2 function app")
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    spec = importlib.util.spec_from_file_location("function_app", path)
    if spec is None or spec.loader is None:
        raise AppLoadError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules["function_app"] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules["function_app"]
        raise AppLoadError(f"importing {path} failed: {type(error).__name__}: {error}") from error
    return module


def _only_app(module: ModuleType) -> FunctionRegister:
    apps = {
        name: value for name, value in vars(module).items() if isinstance(value, FunctionRegister)
    }
    if len(apps) > 1:
        raise AppLoadError(f"more than one FunctionApp in {SCRIPT}: {', '.join(sorted(apps))}")
    if not apps:
        raise AppLoadError(f"no FunctionApp at the top level of {SCRIPT}")
    return next(iter(apps.values()))


def _function(name: str, sdk_function: SdkFunction, settings: Mapping[str, str]) -> Function:
    call = sdk_function.get_user_function()
    declared = tuple(json.loads(raw) for raw in sdk_function.get_raw_bindings())
    bindings = [_binding(dict(each), settings) for each in declared]
    trigger_name = typing.cast("Any", sdk_function.get_trigger()).name
    trigger = next(each for each in bindings if each.name == trigger_name)
    others = [each for each in bindings if each is not trigger]
    if trigger.kind not in TRIGGERS:
        raise ValueError(f"{trigger.kind} is not served here; served are {', '.join(TRIGGERS)}")
    for each in others:
        if each.kind not in OUTPUTS:
            raise ValueError(f"binding {each.kind} is not served here; only {', '.join(OUTPUTS)}")
    hints = typing.get_type_hints(call)
    outputs = tuple(each for each in others if each.name != RETURN)
    deferred = _is_deferred(hints.get(trigger.name))
    _check_parameters(call, trigger, outputs)
    returned = next((each for each in others if each.name == RETURN), None)
    _check_annotations(hints, trigger, outputs, deferred=deferred)
    _check_return(hints, returned)
    _check_trigger(trigger, settings)
    return Function(
        name=name,
        call=call,
        trigger=trigger,
        annotation=hints.get(trigger.name),
        outputs=outputs,
        returned=returned,
        deferred=deferred,
        is_async=inspect.iscoroutinefunction(call),
        needs_context="context" in inspect.signature(call).parameters,
        declared=declared,
    )


def _binding(fields: dict[str, Any], settings: Mapping[str, str]) -> Binding:
    resolved = {
        key: resolve(value, settings) if isinstance(value, str) else value
        for key, value in fields.items()
    }
    return Binding(name=resolved.pop("name"), kind=resolved.pop("type"), fields=resolved)


def _is_deferred(annotation: Any) -> bool:
    base = sys.modules.get("azurefunctions.extensions.base")  # imported with any SDK type
    return base is not None and bool(base.get_binding_registry().check_supported_type(annotation))


def _check_parameters(call: Any, trigger: Binding, outputs: tuple[Binding, ...]) -> None:
    declared = set(inspect.signature(call).parameters) - {"context"}
    bound = {trigger.name, *(each.name for each in outputs)}
    if declared - bound:
        raise ValueError(f"parameters without a binding: {sorted(declared - bound)}")
    if bound - declared:
        raise ValueError(f"bindings without a parameter: {sorted(bound - declared)}")


def _check_annotations(
    hints: Mapping[str, Any], trigger: Binding, outputs: tuple[Binding, ...], *, deferred: bool
) -> None:
    given = hints.get(trigger.name)
    plain = given in (str, bytes) and trigger.kind == QUEUE
    if given is not None and not deferred and not plain:
        converter = converter_of(trigger.kind)
        if not isinstance(given, type) or not converter.check_input_type_annotation(given):
            raise ValueError(
                f"type of {trigger.name} binding {trigger.kind!r} does not match its Python "
                f"annotation {getattr(given, '__name__', given)!r}"
            )
    for each in outputs:
        out = hints.get(each.name)
        if out is None:
            continue
        if getattr(typing.get_origin(out), "__name__", "") != "Out":
            raise ValueError(f"binding {each.name} is an output: annotate it as func.Out[...]")
        (inner,) = typing.get_args(out)
        if not converter_of(each.kind).check_output_type_annotation(inner):
            raise ValueError(
                f"binding {each.name} {each.kind!r} does not take {inner!r}; "
                "the worker knows str, bytes, typing.List[str] (not list[str])"
            )


def _check_return(hints: Mapping[str, Any], returned: Binding | None) -> None:
    """Refuse what makes the real worker load none of the functions, without a word."""
    context = hints.get("context")
    if context is not None and getattr(context, "__name__", "") != "Context":
        raise ValueError(f"the parameter context is a func.Context, not {context!r}")
    if returned is None or "return" not in hints:
        return
    given = hints["return"]
    checks = converter_of(returned.kind).check_output_type_annotation
    if not isinstance(given, type) or not checks(given):
        raise ValueError(
            f"it is annotated to return {given!r}, which does not fit {returned.kind!r}; the "
            "worker takes func.HttpResponse and str for HTTP (no Optional, no union)"
        )


def _check_trigger(trigger: Binding, settings: Mapping[str, str]) -> None:
    match trigger.kind:
        case "timerTrigger":
            Schedule(str(trigger["schedule"]))
        case "httpTrigger":
            route = str(trigger.fields.get("route") or "")
            RouteTemplate(route)
            if route.strip("/").partition("/")[0].lower() in _BUILT_IN:
                raise ValueError(f"the route {route!r} conflicts with routes of the host")
        case "blobTrigger":
            _check_blob(trigger, settings)


def _check_blob(trigger: Binding, settings: Mapping[str, str]) -> None:
    if trigger.fields.get("source") not in ("EVENT_GRID", "EventGrid"):
        raise ValueError("a blob trigger is served from Event Grid only: give it source EventGrid")
    connection = trigger.fields.get("connection", "AzureWebJobsStorage")
    if not any(connection + end in settings for end in ("", "__serviceUri", "__blobServiceUri")):
        raise ValueError(f"connection {connection!r} has no app setting {connection}")
