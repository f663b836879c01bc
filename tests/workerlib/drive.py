"""Load an app into the worker library and invoke functions, in a process of its own.

Standard input: {"folder": path, "calls": [{"function": name, "http"|"queue"|"blob"|"timer": ...}]}.
Standard output, last line: {"functions": {name: trigger}, "results": [...]} or {"error": message}.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.workerlib.adapter import Result, Worker, WorkerError


def main() -> None:
    """Do what standard input says."""
    task = json.load(sys.stdin)
    try:
        worker = Worker(Path(task["folder"]))
    except WorkerError as error:
        print(json.dumps({"error": str(error)}))  # noqa: T201 - the answer
        return
    results = [asdict(_call(worker, call)) for call in task["calls"]]
    functions = {name: dict(each.trigger) for name, each in worker.functions.items()}
    print(json.dumps({"functions": functions, "results": results}))  # noqa: T201 - the answer
    worker.close()


def _call(worker: Worker, call: Mapping[str, Any]) -> Result:
    name = call["function"]
    match call:
        case {"http": request}:
            return worker.http(name, request)
        case {"queue": body}:
            return worker.queue(name, body)
        case {"blob": [container, blob]}:
            return worker.blob(name, container, blob)
        case _:
            return worker.timer(name)


if __name__ == "__main__":
    main()
