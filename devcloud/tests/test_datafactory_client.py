"""The product's own client of a pipeline, `ingest.azure.datafactory`, against the local factory."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from devcloud.testing.factory import FACTORY, GROUP, FactoryHost, configure, hosting
from ingest.azure.datafactory import DataFactory
from ingest.errors import AccessDenied, OutcomeUnknown, Throttled


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FactoryHost]:
    """A factory with one pipeline."""
    with hosting(configure(tmp_path_factory.mktemp("factory"))) as running:
        wait = {"name": "Wait", "type": "Wait", "typeProperties": {"waitTimeInSeconds": 1}}
        running.pipeline("ingest_drop", wait, parameters={"attemptId": {"type": "string"}})
        yield running


def factory(host: FactoryHost, pipeline: str = "ingest_drop", name: str = FACTORY) -> DataFactory:
    """The product's client."""
    return DataFactory(host.client, GROUP, name, pipeline)


def answer(host: FactoryHost, status: int) -> None:
    """Let the next request be answered so."""
    rule = {"fault": "status", "status": status, "times": 1}
    httpx.post(f"{host.url}/_devcloud/faults", json=rule).raise_for_status()


def test_a_pipeline_of_another_name_is_for_a_person(host: FactoryHost) -> None:
    """Nothing was started, and trying again helps only when the name is corrected."""
    with pytest.raises(AccessDenied, match=r"nowhere: 404"):
        factory(host, "nowhere").start({"attemptId": "a.1"})


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, AccessDenied), (403, AccessDenied), (429, Throttled), (503, OutcomeUnknown)],
)
def test_the_answers_to_a_start_are_told_apart(
    host: FactoryHost, status: int, error: type[Exception]
) -> None:
    """A role that is missing is neither an outage nor a start of which nothing is known."""
    answer(host, status)
    with pytest.raises(error):
        factory(host).start({"attemptId": "a.1"})


@pytest.mark.parametrize("status", [401, 403])
def test_a_role_may_be_missing_for_looks_too(host: FactoryHost, status: int) -> None:
    """What is asked of pipeline runs is refused likewise; a run that is not known is none."""
    answer(host, status)
    with pytest.raises(AccessDenied, match=str(status)):
        factory(host).find(datetime.now(UTC) - timedelta(hours=1), {"a.1"})
    assert factory(host).observe("00000000-0000-0000-0000-000000000000") is None
