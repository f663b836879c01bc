"""Definitions, queries, triggers, identity and vault of the local data factory, through the SDK."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.core import MatchConditions
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.identity import DefaultAzureCredential
from azure.mgmt.datafactory.models import RunFilterParameters, RunQueryFilter, RunQueryOrderBy

from devcloud.platform.identity import Identity, TokenError
from devcloud.testing.clock import ManualClock
from devcloud.testing.factory import (
    FACTORY,
    GROUP,
    FactoryHost,
    client_of,
    configure,
    hosting,
    window,
)

WAIT = {"name": "W", "type": "Wait", "typeProperties": {"waitTimeInSeconds": 1}}
LAKE = {"type": "AzureBlobFS", "typeProperties": {"url": "http://127.0.0.1:1/landfall"}}


def binary(service: str = "lake") -> dict[str, Any]:
    """A dataset."""
    location = {"type": "AzureBlobFSLocation", "fileSystem": "raw", "fileName": "a"}
    return {
        "type": "Binary",
        "linkedServiceName": {"referenceName": service, "type": "LinkedServiceReference"},
        "typeProperties": {"location": location},
    }


def minutely(pipeline: str, interval: int = 15) -> dict[str, Any]:
    """A schedule trigger."""
    reference = {"referenceName": pipeline, "type": "PipelineReference"}
    return {
        "type": "ScheduleTrigger",
        "pipelines": [
            {"pipelineReference": reference, "parameters": {"at": "@trigger().scheduledTime"}}
        ],
        "typeProperties": {
            "recurrence": {
                "frequency": "Minute",
                "interval": interval,
                "startTime": "2026-01-01T00:00:00Z",
                "timeZone": "UTC",
            }
        },
    }


def test_default_credential_reaches_the_factory_and_the_vault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK's own credential gets tokens from the identity endpoint; a wrong one is refused."""
    config = configure(tmp_path)
    with hosting(config) as host:
        monkeypatch.setenv("IDENTITY_ENDPOINT", config.identity_url)
        monkeypatch.setenv("IDENTITY_HEADER", config.identity_secret)
        credential = DefaultAzureCredential()
        with client_of(config, host.url, credential) as client:
            assert client.factories.get(GROUP, FACTORY).name == FACTORY  # type: ignore[union-attr]
        token = credential.get_token("https://vault.azure.net/.default").token
        secret = f"{config.vault_url}/secrets/function-key?api-version=7.4"
        granted = httpx.get(secret, headers={"Authorization": f"Bearer {token}"})
        assert granted.json()["value"] == config.function_key
        assert httpx.get(secret).status_code == 401
        wrong = httpx.get(
            config.identity_url,
            params={"resource": "x", "api-version": "2019-08-01"},
            headers={"X-IDENTITY-HEADER": "wrong"},
        )
        assert wrong.status_code == 401
        # A token for the vault does not open the factory.
        path = f"{host.url}/subscriptions/{config.subscription}/providers/Microsoft.DataFactory"
        answer = httpx.get(
            f"{path}/factories?api-version=2018-06-01", headers={"Authorization": f"Bearer {token}"}
        )
        assert (answer.status_code, answer.json()["error"]["code"]) == (
            401,
            "InvalidAuthenticationToken",
        )


def test_the_vault_takes_secrets_and_keeps_them(tmp_path: Path) -> None:
    """A secret that is put is there after a restart; those of the local cloud cannot be put."""
    config = configure(tmp_path)
    token = Identity(config.identity_secret).issue("https://vault.azure.net")[0]
    asked: dict[str, Any] = {
        "params": {"api-version": "7.4"},
        "headers": {"Authorization": f"Bearer {token}"},
    }
    place = f"{config.vault_url}/secrets"
    with hosting(config):
        assert httpx.put(f"{place}/mine", json={"value": "1"}).status_code == 401
        for value in ("1", "2"):
            answer = httpx.put(f"{place}/mine", json={"value": value}, **asked)
            assert (answer.status_code, answer.json()["value"]) == (200, value)
        assert httpx.put(f"{place}/mine", json={"value": 3}, **asked).status_code == 400
        own = httpx.put(f"{place}/function-key", json={"value": "x"}, **asked)
        assert own.status_code == 403
    with hosting(config):
        assert httpx.get(f"{place}/mine/current", **asked).json()["value"] == "2"
        assert httpx.get(f"{place}/mine/older", **asked).status_code == 404
        known = httpx.get(f"{place}/function-key", **asked).json()["value"]
        assert known == config.function_key
    assert (tmp_path / "vault.json").stat().st_mode & 0o077 == 0


def test_a_token_is_good_for_its_resource_until_it_expires() -> None:
    """Forged, expired and misdirected tokens are refused; the secret alone verifies them."""
    now = [1000.0]
    token = f"Bearer {Identity('s', lambda: now[0]).issue('https://a/')[0]}"
    checker = Identity("s", lambda: now[0])
    checker.check(token, "https://a")
    for bad in (None, "Bearer x", f"{token}x", token.replace("Bearer", "Basic")):
        with pytest.raises(TokenError):
            checker.check(bad, "https://a")
    with pytest.raises(TokenError, match="not for"):
        checker.check(token, "https://b")
    with pytest.raises(TokenError, match="not issued"):
        Identity("other").check(token, "https://a")
    now[0] += 25 * 3600
    with pytest.raises(TokenError, match="expired"):
        checker.check(token, "https://a")


def test_definitions_are_kept_with_etags_and_checked_references(tmp_path: Path) -> None:
    """Put, get, list, delete; If-Match is obeyed; a reference in use or to nothing is refused."""
    with hosting(configure(tmp_path)) as host:
        client: Any = host.client
        with pytest.raises(ResourceNotFoundError):
            client.datasets.get(GROUP, FACTORY, "d")
        with pytest.raises(HttpResponseError, match="invalid reference 'lake'"):
            host.put("datasets", "d", binary())
        host.put("linked_services", "lake", LAKE)
        first = host.put("datasets", "d", binary())
        second = host.put("datasets", "D", binary())
        assert first.etag != second.etag
        with pytest.raises(ResourceModifiedError):
            client.datasets.create_or_update(
                GROUP,
                FACTORY,
                "d",
                {"properties": binary()},
                etag=first.etag,
                match_condition=MatchConditions.IfNotModified,
            )
        assert [each.name for each in client.datasets.list_by_factory(GROUP, FACTORY)] == ["D"]
        with pytest.raises(HttpResponseError, match="referenced by 'D'"):
            client.linked_services.delete(GROUP, FACTORY, "lake")
        client.datasets.delete(GROUP, FACTORY, "d")
        client.linked_services.delete(GROUP, FACTORY, "lake")
        assert list(client.linked_services.list_by_factory(GROUP, FACTORY)) == []


def test_secrets_never_come_back(tmp_path: Path) -> None:
    """An account key is stored, and not shown again."""
    key = {"type": "SecureString", "value": "c2VjcmV0"}
    with hosting(configure(tmp_path)) as host:
        secret = {**LAKE, "typeProperties": {**LAKE["typeProperties"], "accountKey": key}}  # type: ignore[dict-item]
        answer = host.put("linked_services", "lake", secret)
        client: Any = host.client
        shown = client.linked_services.get(GROUP, FACTORY, "lake")
        for each in (answer, shown):
            assert "c2VjcmV0" not in str(each.as_dict())


@pytest.mark.parametrize(
    ("kind", "properties", "named"),
    [
        ("linked_services", {"type": "Oracle", "typeProperties": {}}, "Oracle"),
        ("linked_services", {**LAKE, "typeProperties": {"url": "u", "tenant": "t"}}, "tenant"),
        ("datasets", {**binary(), "type": "Excel"}, "Excel"),
        ("triggers", {"type": "RerunTumblingWindowTrigger", "typeProperties": {}}, "Rerun"),
    ],
)
def test_unknown_definitions_are_refused(
    tmp_path: Path, kind: str, properties: dict[str, Any], named: str
) -> None:
    """A type or property that would change the meaning is refused when it is put."""
    with hosting(configure(tmp_path)) as host, pytest.raises(HttpResponseError) as error:
        host.put(kind, "x", properties)
    assert error.value.status_code == 400
    assert named in str(error.value)


def test_unknown_routes_are_refused(tmp_path: Path) -> None:
    """What is not implemented answers 501, not something that looks like success."""
    with hosting(configure(tmp_path)) as host:
        client: Any = host.client
        with pytest.raises(HttpResponseError) as error:
            client.data_flows.get(GROUP, FACTORY, "x", retry_total=0)
        assert error.value.status_code == 501


def test_queries_filter_order_and_page(tmp_path: Path) -> None:
    """100 runs a page, each run once, in the order asked for; unknown filters are refused."""
    with hosting(configure(tmp_path)) as host:
        for name in ("a", "b"):
            host.pipeline(name, WAIT)
        started = [host.start("a") for _ in range(103)] + [host.start("b")]
        for run_id in started[-3:]:
            host.ended(run_id)
        query = RunFilterParameters(
            last_updated_after=datetime.now(UTC) - timedelta(hours=1),
            last_updated_before=datetime.now(UTC) + timedelta(hours=1),
            filters=[
                RunQueryFilter(operand="PipelineName", operator="In", values_property=["a", "z"]),
                RunQueryFilter(operand="Status", operator="NotEquals", values_property=["Failed"]),
            ],
            order_by=[RunQueryOrderBy(order_by="RunStart", order="ASC")],
        )
        first = host.client.pipeline_runs.query_by_factory(GROUP, FACTORY, query)
        assert len(first.value) == 100
        query.continuation_token = first.continuation_token
        second = host.client.pipeline_runs.query_by_factory(GROUP, FACTORY, query)
        assert second.continuation_token is None
        assert started[:103] == [run.run_id for run in [*first.value, *second.value]]
        wrong: Any = window(filters=[{"operand": "RunId", "operator": "Equals", "values": ["x"]}])
        with pytest.raises(HttpResponseError, match="not supported"):
            host.client.pipeline_runs.query_by_factory(GROUP, FACTORY, wrong)


def test_query_lag_hides_what_is_new(tmp_path: Path) -> None:
    """With the fault, a query tells what was so many seconds ago; a get tells what is."""
    with hosting(configure(tmp_path)) as host:
        host.pipeline("p", WAIT)
        httpx.post(f"{host.url}/_devcloud/faults", json={"fault": "query_lag", "seconds": 60})
        run_id = host.run("p").run_id
        query: Any = window()
        assert host.client.pipeline_runs.query_by_factory(GROUP, FACTORY, query).value == []
        assert host.status(run_id) == "Succeeded"
        httpx.delete(f"{host.url}/_devcloud/faults")
        found = host.client.pipeline_runs.query_by_factory(GROUP, FACTORY, query).value
        assert [run_id] == [run.run_id for run in found]


def test_a_restart_keeps_runs_and_ends_those_in_progress(tmp_path: Path) -> None:
    """Ended runs stay, a run that was in progress is Failed and says why, a queued one starts."""
    config = configure(tmp_path)
    clock = ManualClock(datetime(2026, 11, 22, tzinfo=UTC))
    with hosting(config, clock=clock) as host:
        host.pipeline("p", {**WAIT, "typeProperties": {"waitTimeInSeconds": 60}}, concurrency=1)
        host.pipeline(
            "short",
            {
                "name": "F",
                "type": "Filter",
                "typeProperties": {"items": "@range(1, 1)", "condition": "@equals(1, 1)"},
            },
        )
        done = host.run("short").run_id
        running, queued = host.start("p"), host.start("p")
        assert (host.status(running), host.status(queued)) == ("InProgress", "Queued")
    with hosting(config) as host:
        assert host.ended(done).status == "Succeeded"
        assert "F" in host.activities(done)
        interrupted = host.ended(running)
        assert interrupted.status == "Failed"
        assert "stopped while this run was in progress" in interrupted.message
        assert host.ended(queued).status == "Succeeded"


def test_a_schedule_fires_when_it_is_started_and_due(tmp_path: Path) -> None:
    """Every 15 minutes from the start time, with the scheduled time as parameter; not stopped."""
    clock = ManualClock(datetime(2026, 11, 22, 10, 20, tzinfo=UTC))
    with hosting(configure(tmp_path), clock=clock) as host:
        client: Any = host.client
        echo = {
            "name": "Echo",
            "type": "Filter",
            "typeProperties": {"items": "@range(1, 1)", "condition": "@equals(1, 1)"},
        }
        host.pipeline("p", echo, parameters={"at": {"type": "string"}})
        host.put("triggers", "quarterly", minutely("p"))
        client.triggers.begin_start(GROUP, FACTORY, "quarterly").result()
        with pytest.raises(HttpResponseError, match="stop it first"):
            host.put("triggers", "quarterly", minutely("p", 5))
        clock.advance(timedelta(minutes=9))
        assert _runs(host) == []
        clock.advance(timedelta(minutes=2))
        run = host.ended(_await_runs(host, 1)[0].run_id)
        assert run.parameters["at"].startswith("2026-11-22T10:30:00")
        assert run.invoked_by.name == "quarterly"
        clock.advance(timedelta(hours=2, minutes=15))
        _await_runs(host, 2)  # late, and once: what passed meanwhile is not made up for
        asked: Any = window(
            lastUpdatedAfter="2026-11-22T00:00:00+00:00",
            filters=[{"operand": "TriggerName", "operator": "Equals", "values": ["quarterly"]}],
        )
        fired = client.trigger_runs.query_by_factory(GROUP, FACTORY, asked).value or []
        assert fired
        assert {each.status for each in fired} == {"Succeeded"}
        assert all(set(each.triggered_pipelines or {}) == {"p"} for each in fired)
        client.triggers.begin_stop(GROUP, FACTORY, "quarterly").result()
        assert (
            client.triggers.get(GROUP, FACTORY, "quarterly").properties.runtime_state == "Stopped"
        )
        clock.advance(timedelta(hours=2))
        host.run("p", at="now")
        assert len(_runs(host)) == 3


def test_without_a_token_nothing_is_told(tmp_path: Path) -> None:
    """The SDK reports 401 as an authentication error."""

    class Forged:
        def get_token(self, *_scopes: str, **_options: Any) -> Any:
            return type("T", (), {"token": "forged", "expires_on": 2**40})()

    config = configure(tmp_path)
    with (
        hosting(config) as host,
        client_of(config, host.url, Forged()) as client,
        pytest.raises(ClientAuthenticationError),
    ):
        client.factories.get(GROUP, FACTORY)


def _runs(host: FactoryHost) -> list[Any]:
    query: Any = {
        "lastUpdatedAfter": "2026-01-01T00:00:00Z",
        "lastUpdatedBefore": "2027-01-01T00:00:00Z",
    }
    return list(host.client.pipeline_runs.query_by_factory(GROUP, FACTORY, query).value)


def _await_runs(host: FactoryHost, count: int) -> list[Any]:
    deadline = datetime.now(UTC) + timedelta(seconds=10)
    while datetime.now(UTC) < deadline:
        runs = _runs(host)
        if len(runs) >= count:
            return runs
    raise AssertionError(f"fewer than {count} runs")
