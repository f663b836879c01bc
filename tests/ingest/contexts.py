"""The context of the stages, for tests of one of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ingest.settings import read
from ingest.stages.base import Context
from ingest.stages.rules import Rules
from ingest.wiring import build
from tests.ingest.conftest import REPOSITORY, Clock
from tests.ingest.remote import Factory, Workspace

SETTINGS = {
    "LANDFALL_LAKE": "AccountName=a;AccountKey=a2V5",
    "LANDFALL_ADF_SUBSCRIPTION": "s",
    "LANDFALL_ADF_RESOURCE_GROUP": "g",
    "LANDFALL_ADF_FACTORY": "f",
    "DATABRICKS_HOST": "http://localhost",
    "LANDFALL_SPARK_LAKE": "file:///{container}",
}


def stage_context(
    lake: Any, clock: Clock, *, copier: Any = None, loader: Any = None, rules: Rules | None = None
) -> Context:
    """The context of a process that was just started, with these parts of the outside."""
    service = build(
        read(SETTINGS, app=REPOSITORY),
        clock=clock,
        lake=lake,
        copier=copier or Factory(),
        loader=loader or Workspace(),
    )
    return replace(service.context, rules=rules or Rules())
