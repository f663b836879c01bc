"""Runs the entry point of one task in this process, as a fresh Python would see it."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import os
import re
import runpy
import sys
import traceback
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from pyspark import cloudpickle

from devcloud.databricks.protocol import TaskOutcome, TaskSpec


class TaskCancelled(BaseException):
    """Raised in the midst of a task that is to stop."""


def execute(spec: TaskSpec) -> TaskOutcome:
    """Run a task to its end; nothing it raises comes out.

    `SystemExit` with 0 or None is success, as at the end of any Python program.
    """
    with (
        open(spec.log, "a", encoding="utf-8", buffering=1, errors="replace") as log,  # noqa: PTH123
        _isolated(spec, log),
    ):
        try:
            _call(spec)
        except TaskCancelled:
            return TaskOutcome(spec.run_id, "cancelled")
        except SystemExit as end:
            if end.code in (None, 0):
                return TaskOutcome(spec.run_id, "success")
            return _failure(spec, end)
        except BaseException as error:  # noqa: BLE001 - a task may raise anything
            return _failure(spec, error)
        return TaskOutcome(spec.run_id, "success")


def _call(spec: TaskSpec) -> None:
    if spec.file:
        runpy.run_path(spec.file, run_name="__main__")
        return
    function = _entry_point(spec)
    with _pickled_by_value(function):
        function()


def _entry_point(spec: TaskSpec) -> Any:
    """The function that a wheel task names: an entry point, else a function of the package."""
    for distribution in metadata.distributions(path=[*spec.paths, *sys.path]):
        if _normal(distribution.metadata["Name"] or "") != _normal(spec.package):
            continue
        for point in distribution.entry_points:
            if point.name == spec.entry_point:
                return point.load()
    try:
        return getattr(importlib.import_module(spec.package), spec.entry_point)
    except (ImportError, AttributeError) as error:
        raise RuntimeError(
            f"Neither a package {spec.package!r} with an entry point {spec.entry_point!r} nor a "
            "module of that name with such a function is among the task's libraries.",
        ) from error


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@contextlib.contextmanager
def _pickled_by_value(function: Any) -> Iterator[None]:
    """Let functions of the task's own package reach Spark's Python workers whole.

    Those live on between deployments, so they must not import (and keep) the package themselves.
    """
    package = importlib.import_module(function.__module__.partition(".")[0])
    cloudpickle.register_pickle_by_value(package)  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(package)  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def _isolated(spec: TaskSpec, log: io.TextIOBase) -> Iterator[None]:
    """Arguments, output, imports, environment, folder and logging of one task only."""
    paths = [*([str(Path(spec.file).parent)] if spec.file else []), *spec.paths]
    argv, path, environment, folder = sys.argv, list(sys.path), dict(os.environ), Path.cwd()
    bytecode, main = sys.dont_write_bytecode, sys.modules["__main__"]
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    _forget(paths, names=_top_level(paths))
    importlib.invalidate_caches()
    sys.dont_write_bytecode = True  # the workspace's folders are not ours to litter
    sys.argv = [spec.file or spec.entry_point, *spec.arguments]
    sys.path[:0] = paths
    try:
        with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
            root.handlers[:] = []
            yield
    finally:
        sys.argv, sys.path[:], sys.dont_write_bytecode = argv, path, bytecode
        sys.modules["__main__"] = main
        root.handlers[:] = handlers
        root.setLevel(level)
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        _forget(paths, names=set())


def _top_level(paths: list[str]) -> set[str]:
    """Names of packages and modules in the folders: one loaded from elsewhere must give way."""
    names: set[str] = set()
    for each in paths:
        for entry in Path(each).iterdir() if Path(each).is_dir() else ():
            if entry.suffix == ".py" or (entry.is_dir() and entry.name.isidentifier()):
                names.add(entry.stem)
    return names - set(sys.stdlib_module_names) - {"devcloud", "pyspark", "py4j"}


def _forget(paths: list[str], names: set[str]) -> None:
    """Drop modules that were loaded from these folders or go by these names."""
    for name, module in list(sys.modules.items()):
        if name == "__main__":
            continue
        if name.partition(".")[0] in names or _lies_in(module, paths):
            del sys.modules[name]


def _lies_in(module: ModuleType | None, paths: list[str]) -> bool:
    origin = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", [])), "")
    return any(str(origin).startswith(each + os.sep) for each in paths)


def _failure(spec: TaskSpec, error: BaseException) -> TaskOutcome:
    """The error in one line, and its trace from the task's own first frame on."""
    summary = traceback.TracebackException.from_exception(error)
    while summary.stack and summary.stack[0].filename in (
        __file__,
        runpy.__file__,
        "<frozen runpy>",
    ):
        del summary.stack[0]
    last = list(summary.format_exception_only())[-1].strip()
    trace = "".join(summary.format())
    sys.stderr.write(trace)
    return TaskOutcome(spec.run_id, "failed", last[:8000], trace[-64_000:])
