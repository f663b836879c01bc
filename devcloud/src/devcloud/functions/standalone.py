"""`python -m devcloud functions APP_DIR`: a function app with a storage account, and nothing else.

As `func start` does, it takes the app settings from `Values` of local.settings.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import httpx

from devcloud.config import CloudConfig, create
from devcloud.lake.events import SUBSCRIPTIONS, blob_trigger
from devcloud.pidfile import AlreadyRunningError, claim, orderly_end
from devcloud.supervisor import StartError, Supervisor

DEVELOPMENT_STORAGE = "UseDevelopmentStorage=true"
SETTINGS = "local.settings.json"


def main(arguments: Sequence[str]) -> int:
    """Serve until told to end; 2 when the app cannot be served."""
    parser = argparse.ArgumentParser(prog="devcloud functions", description=__doc__)
    parser.add_argument("app", type=Path, metavar="APP_DIR", help="folder of function_app.py")
    parser.add_argument(
        "--data", type=Path, help="folder for its storage; by default .devcloud in APP_DIR"
    )
    parser.add_argument("--json", action="store_true", help="print url and keys as one line")
    given = parser.parse_args(arguments)
    data: Path = given.data or given.app / ".devcloud"
    try:
        with orderly_end(), claim(data):
            _serve(configure(given.app, data), as_json=given.json)
    except KeyboardInterrupt:
        pass
    except (AlreadyRunningError, StartError, ValueError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command line prints
        return 2
    return 0


def configure(app: Path, data: Path) -> CloudConfig:
    """The configuration of an app with an empty account and the settings of its folder.

    Raises:
        ValueError: local.settings.json cannot be read.
    """
    config = create(data, app, containers=(), landing_function="")
    settings = {
        name: config.lake_connection_string if value == DEVELOPMENT_STORAGE else value
        for name, value in local_settings(app).items()
    }
    config = replace(
        config, settings={"AzureWebJobsStorage": config.lake_connection_string} | settings
    )
    config.save()
    return config


def local_settings(app: Path) -> dict[str, str]:
    """`Values` of local.settings.json; none where there is no such file.

    Raises:
        ValueError: it is no such document.
    """
    path = app / SETTINGS
    if not path.exists():
        return {}
    try:
        values = json.loads(path.read_text()).get("Values", {})
        return {str(name): str(value) for name, value in values.items()}
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{path} holds no settings: {error}") from error


def subscribe(config: CloudConfig, functions: Sequence[Mapping[str, Any]]) -> None:
    """Have the events of blobs brought to every blob-triggered function of an app.

    Args:
        config: of the account, whose blob service is not started yet.
        functions: as the admin API lists them.
    """
    triggers = [
        (str(each["name"]), str(binding["path"]).partition("/")[0])
        for each in functions
        for binding in each["config"]["bindings"]
        if binding["type"] == "blobTrigger"
    ]
    subscriptions = [
        asdict(blob_trigger(config, name, name, "" if "{" in container else container))
        for name, container in triggers
    ]
    (config.root / SUBSCRIPTIONS).write_text(json.dumps(subscriptions))


def _serve(config: CloudConfig, *, as_json: bool) -> None:
    with Supervisor(config, services=["functions"], emit=_say):
        reply = httpx.get(
            f"{config.url('functions')}/admin/functions",
            headers={"x-functions-key": config.master_key},
        )
        subscribe(config, reply.raise_for_status().json())
        with Supervisor(config, services=["lake"], emit=_say):
            _announce(config, as_json=as_json)
            threading.Event().wait()


def _announce(config: CloudConfig, *, as_json: bool) -> None:
    keys = {"host": config.function_key, "master": config.master_key, "system": config.system_key}
    url = config.url("functions")
    if as_json:
        print(json.dumps({"url": url, "keys": keys}), flush=True)  # noqa: T201
        return
    lines = [
        f"app      {url}",
        *(f"{name} key".ljust(11) + value for name, value in keys.items()),
        f"storage  {config.lake_connection_string}",
        "Press Ctrl+C to end.",
    ]
    print("\n".join(lines), flush=True)  # noqa: T201


def _say(service: str, line: str) -> None:
    stamp = time.strftime("%H:%M:%S")
    print(f"{stamp} {service:<11} | {line}", file=sys.stderr, flush=True)  # noqa: T201
