"""The app settings, read once from the environment, which is given as an argument.

Nothing is read at import: a missing setting would hide every function of the app. What is wrong is
said by name, in `/health` and by the first call that needs it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ingest.errors import Misconfigured

LAKE = "LANDFALL_LAKE"
"""Name of the lake's connection, which the blob trigger uses too."""


@dataclass(frozen=True)
class LakeSettings:
    """How to reach the storage account: a connection string, or its URL and the app's identity."""

    connection_string: str | None
    url: str | None
    account: str
    endpoint: str

    @property
    def hosts(self) -> frozenset[str]:
        """`host[:port][/account]` by which URLs may name this account."""
        azure = {f"{self.account}.{kind}.core.windows.net" for kind in ("blob", "dfs")}
        parts = urlsplit(self.endpoint)
        return frozenset(azure | {f"{parts.netloc}{parts.path}".rstrip("/").lower()})


@dataclass(frozen=True)
class Settings:
    """Every setting of the service, with its default where it has one."""

    lake: LakeSettings
    spark_lake: str
    adf_endpoint: str
    adf_subscription: str
    adf_resource_group: str
    adf_factory: str
    adf_pipeline: str
    databricks_host: str
    databricks_token: str | None
    job: str
    validation_job: str
    forget_job: str
    spark_above: int
    project: Path
    contracts_every: timedelta
    settle: timedelta
    nudge: timedelta
    copy_grace: timedelta
    lease: timedelta
    reference_wait: timedelta
    blocked: timedelta
    pulse: timedelta
    queue: str | None
    queue_url: str | None
    batch_window: timedelta
    batch_drops: int
    max_copies: int
    max_loads: int
    sources: Mapping[str, Mapping[str, Any]]


def read(env: Mapping[str, str], *, app: Path) -> Settings:
    """The settings of an environment; `app` is the folder of function_app.py.

    Raises:
        Misconfigured: one is missing or cannot be read; the message names it.
    """
    lake = _lake(env)
    account_host = f"{lake.account}.dfs.core.windows.net"
    return Settings(
        lake=lake,
        spark_lake=env.get("LANDFALL_SPARK_LAKE") or f"abfss://{{container}}@{account_host}",
        adf_endpoint=env.get("LANDFALL_ADF_ENDPOINT") or "https://management.azure.com",
        adf_subscription=_required(env, "LANDFALL_ADF_SUBSCRIPTION"),
        adf_resource_group=_required(env, "LANDFALL_ADF_RESOURCE_GROUP"),
        adf_factory=_required(env, "LANDFALL_ADF_FACTORY"),
        adf_pipeline=env.get("LANDFALL_ADF_PIPELINE") or "ingest_drop",
        databricks_host=_required(env, "DATABRICKS_HOST"),
        databricks_token=env.get("DATABRICKS_TOKEN") or None,
        job=env.get("LANDFALL_JOB") or "landfall_load",
        validation_job=env.get("LANDFALL_VALIDATION_JOB") or "landfall_validate",
        forget_job=env.get("LANDFALL_FORGET_JOB") or "landfall_forget",
        spark_above=_count(env, "LANDFALL_VALIDATE_IN_SPARK_ABOVE", 512 << 20),
        project=Path(env.get("LANDFALL_PROJECT") or app / "marketplace"),
        contracts_every=_seconds(env, "LANDFALL_CONTRACTS_SECONDS", 60),
        settle=_seconds(env, "LANDFALL_SETTLE_SECONDS", 120),
        nudge=_seconds(env, "LANDFALL_NUDGE_SECONDS", 120),
        copy_grace=_seconds(env, "LANDFALL_COPY_GRACE_SECONDS", 60),
        lease=_seconds(env, "LANDFALL_LEASE_SECONDS", 300),
        reference_wait=_seconds(env, "LANDFALL_REFERENCE_WAIT_SECONDS", 300),
        blocked=_seconds(env, "LANDFALL_BLOCKED_SECONDS", 3 * 86400),
        pulse=_seconds(env, "LANDFALL_PULSE_SECONDS", 30),
        queue=env.get("AzureWebJobsStorage") or None,
        queue_url=env.get("AzureWebJobsStorage__queueServiceUri") or None,
        batch_window=_seconds(env, "LANDFALL_BATCH_WINDOW_SECONDS", 10),
        batch_drops=_count(env, "LANDFALL_BATCH_MAX_DROPS", 500),
        max_copies=_count(env, "LANDFALL_MAX_COPIES", 100),
        max_loads=_count(env, "LANDFALL_MAX_LOADS", 10),
        sources=_sources(env),
    )


_SOURCE = "LANDFALL_SOURCE_"


def _sources(env: Mapping[str, str]) -> dict[str, Mapping[str, Any]]:
    """What the environment puts in the place of connections of source files, by source."""
    connections: dict[str, Mapping[str, Any]] = {}
    for name, text in env.items():
        if not name.startswith(_SOURCE) or not text:
            continue
        try:
            values = json.loads(text)
        except ValueError as error:
            raise Misconfigured(f"the app setting {name} is not JSON: {error}") from None
        if not isinstance(values, dict):
            raise Misconfigured(f"the app setting {name} is not a JSON object")
        connections[name.removeprefix(_SOURCE).lower()] = values
    return connections


def _lake(env: Mapping[str, str]) -> LakeSettings:
    if connection := env.get(LAKE):
        fields = _fields(connection)
        account = fields.get("AccountName", "")
        endpoint = fields.get("BlobEndpoint") or f"https://{account}.blob.core.windows.net"
        if not account:
            raise Misconfigured(f"{LAKE} is not a connection string: it has no AccountName")
        return LakeSettings(connection, None, account, endpoint)
    if url := env.get(f"{LAKE}__blobServiceUri"):
        return LakeSettings(None, url, (urlsplit(url).hostname or "").split(".")[0], url)
    raise Misconfigured(
        f"set {LAKE} to a connection string, or {LAKE}__blobServiceUri to the account's URL"
    )


def trigger_problem(env: Mapping[str, str]) -> str | None:
    """What keeps the blob trigger from its queues in the lake's account; None if nothing does.

    The trigger keeps failed events in a queue of its own connection. Without an address of it the
    host disables the trigger; with the address of another account it ends at the first such event.
    """
    if not (connection := env.get(LAKE)):
        if env.get(f"{LAKE}__queueServiceUri"):
            return None
        return f"the app setting {LAKE}__queueServiceUri is missing: the blob trigger needs it"
    fields = _fields(connection)
    blobs = urlsplit(fields.get("BlobEndpoint", "")).netloc
    suffix = fields.get("EndpointSuffix", "core.windows.net")
    derived = not blobs or blobs == f"{fields.get('AccountName')}.blob.{suffix}"
    if fields.get("QueueEndpoint") or derived:
        return None
    return (
        f"the app setting {LAKE} has a BlobEndpoint and no QueueEndpoint: the blob trigger would "
        f"look for its queues at {fields.get('AccountName')}.queue.{suffix}"
    )


def _fields(connection: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in connection.split(";") if "=" in part)


def _required(env: Mapping[str, str], name: str) -> str:
    if value := env.get(name):
        return value
    raise Misconfigured(f"the app setting {name} is missing")


def _seconds(env: Mapping[str, str], name: str, default: float) -> timedelta:
    text = env.get(name) or str(default)
    try:
        return timedelta(seconds=float(text))
    except ValueError:
        raise Misconfigured(
            f"the app setting {name} is {text!r}, not a number of seconds"
        ) from None


def _count(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name) or str(default)
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise Misconfigured(f"the app setting {name} is {text!r}, not a whole number from 1 on")
    return int(text)
