"""The composition root: the one place that knows which parts make the service.

Nothing is built at import. SDKs are imported when the part that needs them is first used, so that
a cold start pays for storage only, and the first copy and load for theirs.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ingest.contract_store import ContractStore
from ingest.errors import LandfallError, Misconfigured
from ingest.gold_store import GoldStore
from ingest.operations.erasure.erasures import Erasures
from ingest.ports import Clock, CopyService, JobService, Lake
from ingest.reconcile.backlog import Caps
from ingest.reconcile.days import DayBook
from ingest.reconcile.pulse import Pulse
from ingest.reconcile.reminders import PATIENCE, SentMessages
from ingest.reconcile.tick import TickRules
from ingest.runs.contents import AcceptedContents
from ingest.runs.register import Register
from ingest.service import Landfall
from ingest.settings import Settings, read, trigger_problem
from ingest.stages.base import Context
from ingest.stages.copy_limit import CopyLimit
from ingest.stages.load.batching import Limits
from ingest.stages.rules import (
    LONGEST_WAIT,
    CopyRules,
    JobRules,
    LoadRules,
    Rules,
    ValidationRules,
)
from ingest.stages.way import RunWay
from landfall.contract.folder import ContractProblem
from landfall.protocol import State

if TYPE_CHECKING:
    from ingest.sources.extraction import Extraction

_COPIES = (State.COPYING, State.VALIDATED)
APP = Path(__file__).resolve().parent.parent


def utc_now() -> datetime:
    """The time now."""
    return datetime.now(UTC)


class Lazy:
    """A part that is built when the first of its methods is looked up."""

    def __init__(self, build: Callable[[], Any]) -> None:
        self._build = lru_cache(maxsize=1)(build)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._build(), name)


def build(
    settings: Settings,
    *,
    clock: Clock = utc_now,
    lake: Lake | None = None,
    copier: CopyService | None = None,
    loader: JobService | None = None,
    validator: JobService | None = None,
    eraser: JobService | None = None,
    pipelines: Callable[[str], CopyService] | None = None,
) -> Landfall:
    """Put the service together; parts that are given replace the real ones.

    Raises:
        Misconfigured: the project has no folder of contracts.
    """
    lake = lake or _lake(settings)
    manifest = Register(lake)
    contents = AcceptedContents(lake, manifest)
    store = ContractStore(lake, settings.project / "contracts", clock, settings.contracts_every)
    context = Context(
        lake=lake,
        manifest=manifest,
        contracts=store,
        contents=contents,
        gold=GoldStore(lake, settings.project / "gold", store, clock),
        copier=copier or Lazy(lambda: _copier(settings)),
        loader=loader or Lazy(lambda: _databricks(settings, settings.job)),
        validator=validator or Lazy(lambda: _databricks(settings, settings.validation_job)),
        copy_limit=CopyLimit(settings.max_copies, lambda: manifest.count(*_COPIES), clock),
        clock=clock,
        rules=rules(settings),
        worker=uuid.uuid4().hex,
        spark_lake=settings.spark_lake,
        validation_job=settings.validation_job,
    )
    extraction = cast("Extraction", Lazy(lambda: _extraction(settings, context, pipelines)))
    return Landfall(
        way=RunWay(context),
        ticks=TickRules(
            settle=settings.settle,
            nudge=settings.nudge,
            longest_hold=max(settings.lease, LONGEST_WAIT),
        ),
        caps=Caps(copies=settings.max_copies, loads=settings.max_loads),
        account_hosts=settings.lake.hosts,
        reminders=SentMessages(min(PATIENCE, settings.nudge)),
        days=DayBook(lake, manifest, contents.broken_rules, clock),
        extraction=extraction,
        pulse=Pulse(lake, clock, _queue(settings), settings.pulse),
        erasures=Erasures(
            lake=lake,
            manifest=manifest,
            store=store,
            clock=clock,
            jobs=eraser or Lazy(lambda: _databricks(settings, settings.forget_job)),
            spark_lake=settings.spark_lake,
            # A lambda: asking for the attribute now would import the parts of extraction.
            staged=lambda dataset: extraction.catalog.staged(dataset),  # noqa: PLW0108
        ),
    )


def rules(settings: Settings) -> Rules:
    """The rules of the stages, as far as settings say them."""
    return Rules(
        validation=ValidationRules(settings.lease, reference_wait=settings.reference_wait),
        validation_job=JobRules(above=settings.spark_above),
        copy=CopyRules(grace=settings.copy_grace),
        load=LoadRules(
            limits=Limits(max_drops=settings.batch_drops, window=settings.batch_window),
            max_loads=settings.max_loads,
        ),
        max_blocked=settings.blocked,
    )


@lru_cache(maxsize=1)
def service() -> Landfall:
    """The service of this process, by its environment.

    Raises:
        Misconfigured: a setting or a contract is wrong.
    """
    return build(read(os.environ, app=APP))


@dataclass(frozen=True)
class Health:
    """Each part of the service with `ok` or what is wrong with it, and files that are wrong.

    A wrong contract or gold table is its dataset's trouble: the service is healthy, and names it.
    """

    parts: Mapping[str, str]
    contracts: tuple[ContractProblem, ...] = ()
    gold: tuple[str, ...] = ()

    def lines(self) -> Mapping[str, str]:
        """All of it by name: `ok`, or what is wrong."""
        contracts = {
            problem.file: f"{problem.path}: {problem.reason}" for problem in self.contracts
        }
        gold = {"gold": "; ".join(self.gold)} if self.gold else {}
        return {**self.parts, **contracts, **gold}


def probe(env: Mapping[str, str] | None = None) -> Health:
    """The service's health; never raises."""
    env = os.environ if env is None else env
    parts = {
        "settings": "ok",
        "trigger": trigger_problem(env) or "ok",
        "lake": "not looked at",
    }
    problems: tuple[ContractProblem, ...] = ()
    gold: tuple[str, ...] = ()
    try:
        read(env, app=APP)
        service().lake.head("manifest/health")
        parts["lake"] = "ok"
        problems = service().store.problems
        gold = tuple(map(str, service().context.gold.deployed.problems))
    except Misconfigured as error:
        parts["settings"] = str(error)
    except LandfallError as error:
        parts["lake"] = str(error)
    return Health(parts, problems, gold)


def _extraction(
    settings: Settings, context: Context, pipelines: Callable[[str], CopyService] | None
) -> Extraction:
    from ingest.sources.extraction import Extraction  # noqa: PLC0415 - see the module's docstring
    from ingest.sources.files import SourceFiles  # noqa: PLC0415

    return Extraction.of(
        context.lake,
        context.manifest,
        SourceFiles(settings.project / "sources", context.contracts, settings.sources),
        context.clock,
        pipelines or lru_cache(lambda name: Lazy(lambda: _pipeline(settings, name))),
    )


def _lake(settings: Settings) -> Lake:
    from ingest.azure.lake import AzureLake  # noqa: PLC0415 - see the module's docstring

    return AzureLake(settings.lake, None if settings.lake.connection_string else _credential())


def _queue(settings: Settings) -> Any:
    """The service's own queue; None where none is named, or no ticks are wanted of it."""
    if not settings.pulse or not (settings.queue or settings.queue_url):
        return None

    def build_queue() -> Any:
        from ingest.azure.queue import DelayedQueue  # noqa: PLC0415

        credential = None if settings.queue else _credential()
        return DelayedQueue(settings.queue, settings.queue_url, credential)

    return Lazy(build_queue)


def _copier(settings: Settings) -> CopyService:
    return _pipeline(settings, settings.adf_pipeline)


def _pipeline(settings: Settings, name: str) -> CopyService:
    from ingest.azure.datafactory import DataFactory  # noqa: PLC0415
    from landfall.azure.arm import data_factory_client  # noqa: PLC0415

    client = data_factory_client(settings.adf_endpoint, settings.adf_subscription, _credential())
    return DataFactory(client, settings.adf_resource_group, settings.adf_factory, name)


def _databricks(settings: Settings, job: str) -> JobService:
    from ingest.azure.databricks import DatabricksJob, workspace_client  # noqa: PLC0415

    credential = None if settings.databricks_token else _credential()
    client = workspace_client(settings.databricks_host, settings.databricks_token, credential)
    return DatabricksJob(client, job)


def _credential() -> Any:
    from landfall.azure.credentials import app_credential  # noqa: PLC0415

    return app_credential()
