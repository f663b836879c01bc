"""Faults are met on the wire, by a real client of a really served application."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from devcloud import faults, serving
from devcloud.config import create


@dataclass
class Service:
    """A small service that notes what it did."""

    client: httpx.Client
    rules: faults.Faults
    done: list[str] = field(default_factory=list)

    def rule(self, **rule: object) -> int:
        """Add a rule through the control route."""
        answer = self.client.post("/_devcloud/faults", json=rule)
        assert answer.status_code == 200, answer.text
        return int(answer.json()["id"])

    def requests(self) -> dict[str, object]:
        """The counts of the control route."""
        found: dict[str, object] = self.client.get("/_devcloud/requests").json()
        return found


@pytest.fixture
def service() -> Iterator[Service]:
    """A served application with one route and one kind of fault of its own."""
    done: list[str] = []

    async def thing(request: Request) -> PlainTextResponse:
        await request.body()
        done.append(request.path_params["name"])
        return PlainTextResponse("x" * 1000)

    app = Starlette(routes=[Route("/things/{name}", thing, methods=["GET", "PUT"])])
    rules = faults.install(app, "things", kinds=["thing_lag"])
    with serving.serve_in_thread(app) as url, httpx.Client(base_url=url, timeout=5) as client:
        yield Service(client, rules, done)


def test_health_names_the_service(service: Service) -> None:
    """The health route says which service answers."""
    assert service.client.get("/_devcloud/health").json() == {"service": "things", "ok": True}


def test_status_before_the_effect(service: Service) -> None:
    """A status fault answers instead of the service, as often as it was told to."""
    service.rule(
        fault="status", path="/things/a", status=429, headers={"Retry-After": "7"}, times=1
    )
    refused = service.client.get("/things/a")
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "7")
    assert service.done == []
    assert service.client.get("/things/a").status_code == 200


def test_status_after_the_effect(service: Service) -> None:
    """A reply can be replaced although the effect happened."""
    service.rule(fault="status", when="after", status=500, body="oops", times=1)
    answer = service.client.put("/things/a", content=b"1")
    assert (answer.status_code, answer.text, service.done) == (500, "oops", ["a"])


@pytest.mark.parametrize(("when", "effect"), [("before", []), ("after", ["a"])])
def test_reset(service: Service, when: str, effect: list[str]) -> None:
    """A reset connection never brings a reply; the effect happens only with "after"."""
    service.rule(fault="reset", when=when, times=1)
    with pytest.raises(httpx.TransportError):
        service.client.put("/things/a", content=b"1" * 200_000)
    assert effect == service.done
    assert service.client.get("/things/b").status_code == 200


def test_stall(service: Service) -> None:
    """A stalled request outlasts the client's patience, then happens all the same."""
    service.rule(fault="stall", seconds=0.3, times=1)
    with pytest.raises(httpx.ReadTimeout):
        service.client.get("/things/a", timeout=0.05)
    service.rule(fault="stall", seconds=0.01, when="after", times=1)
    assert service.client.get("/things/b").status_code == 200
    assert "b" in service.done


def test_truncate(service: Service) -> None:
    """A truncated reply announces its full length and ends halfway."""
    service.rule(fault="truncate", times=1)
    with service.client.stream("GET", "/things/a") as answer:
        assert answer.headers["Content-Length"] == "1000"
        chunks = answer.iter_raw()
        assert next(chunks) == b"x" * 500
        with pytest.raises(httpx.RemoteProtocolError):
            next(chunks)


def test_which_requests_a_rule_meets(service: Service) -> None:
    """Method, decoded path with query, caller, skip and times all narrow a rule."""
    service.rule(fault="status", method="PUT", status=418)
    service.rule(fault="status", path=r"/things/b c\?x=1 2", status=419)
    service.rule(fault="status", service_caller="^landfall", status=420, skip=1, times=1)

    def status(method: str, url: str, agent: str = "other") -> int:
        return service.client.request(method, url, headers={"User-Agent": agent}).status_code

    assert status("PUT", "/things/a") == 418
    assert status("GET", "/things/b%20c?x=1%202") == 419
    assert [status("GET", "/things/a", "landfall/1") for _ in range(3)] == [200, 420, 200]
    hits = [rule["hits"] for rule in service.client.get("/_devcloud/faults").json()["rules"]]
    assert hits == [1, 1, 1]


def test_probability_is_reproducible(service: Service) -> None:
    """The same seed strikes the same requests."""

    def pattern(seed: int) -> list[int]:
        number = service.rule(fault="status", probability=0.5, seed=seed)
        seen = [service.client.get("/things/a").status_code for _ in range(12)]
        service.client.delete(f"/_devcloud/faults/{number}")
        return seen

    first = pattern(3)
    assert {200, 503} == set(first)
    assert first == pattern(3)


def test_rules_are_refused_when_wrong(service: Service) -> None:
    """A rule with an unknown kind, key or expression is a mistake that is told."""
    for wrong in (
        {"fault": "smoke"},
        {"fault": "reset", "whne": "after"},
        {"fault": "reset", "when": "never"},
        {"fault": "reset", "path": "("},
    ):
        assert service.client.post("/_devcloud/faults", json=wrong).status_code == 400
    assert service.client.get("/_devcloud/nonsense").status_code == 404


def test_rules_can_be_cleared(service: Service) -> None:
    """After DELETE nothing strikes any more."""
    service.rule(fault="status")
    service.client.delete("/_devcloud/faults")
    assert service.client.get("/things/a").status_code == 200


def test_kinds_of_the_service_itself(service: Service) -> None:
    """A service asks for its own kinds; HTTP requests never meet them."""
    service.rule(fault="thing_lag", path="a", seconds=3, times=1)
    assert service.client.get("/things/a").status_code == 200
    taken = service.rules.take("thing_lag", target="a")
    assert taken is not None
    assert taken.seconds == 3
    assert None is service.rules.take("thing_lag", target="a")


def test_requests_are_counted_by_caller_and_operation(service: Service) -> None:
    """The caller is the first product of the User-Agent: an application id where there is one."""
    sdk = "azsdk-python-storage-blob/12.31 Python/3.11"
    service.client.delete("/_devcloud/requests")
    service.client.get("/things/a", headers={"User-Agent": f"landfall-app {sdk}"})
    service.client.get("/things/b", headers={"User-Agent": sdk})
    service.client.get("/nowhere", headers={"User-Agent": sdk})
    assert service.requests() == {
        "total": 3,
        "by_caller": {"landfall-app": 1, "azsdk-python-storage-blob": 2},
        "by_operation": {
            "landfall-app GET /things/{name}": 1,
            "azsdk-python-storage-blob GET /things/{name}": 1,
            "azsdk-python-storage-blob GET unknown": 1,
        },
    }


def test_a_server_that_cannot_start_says_so() -> None:
    """A failing lifespan is an error of the starter, not a hang."""
    app_that_fails = Starlette(lifespan=lambda _app: _Failing())
    with (
        pytest.raises(RuntimeError, match="did not start"),
        serving.serve_in_thread(app_that_fails),
    ):
        pass


class _Failing:
    async def __aenter__(self) -> None:
        raise OSError("no disk")

    async def __aexit__(self, *_: object) -> None:
        return None


def test_a_kill_ends_the_named_service(tmp_path: Path) -> None:
    """The victim is dead when the connection breaks; before the effect or after it, as asked."""
    config = create(tmp_path, tmp_path)
    done: list[str] = []

    async def thing(request: Request) -> PlainTextResponse:
        done.append(request.path_params["name"])
        return PlainTextResponse("x")

    app = Starlette(routes=[Route("/things/{name}", thing)])
    faults.install(app, "things", kill=serving.killer(config))
    with serving.serve_in_thread(app) as url, httpx.Client(base_url=url, timeout=5) as client:
        for when, effect in (("before", []), ("after", ["a"])):
            with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as victim:
                config.pid_file("functions").parent.mkdir(exist_ok=True)
                config.pid_file("functions").write_text(str(victim.pid))
                rule = {"fault": "kill", "when": when, "times": 1}
                client.post("/_devcloud/faults", json=rule).raise_for_status()
                with pytest.raises(httpx.TransportError):
                    client.get("/things/a")
                assert victim.wait(10) == -signal.SIGKILL
            assert done == effect
        assert client.get("/things/a").status_code == 200


def test_requests_are_told_one_by_one(service: Service) -> None:
    """The log has each request with its caller and what it asked for, in order."""
    service.client.get("/things/a", params={"x": "1 2"}, headers={"User-Agent": "me/1"})
    service.client.put("/things/b", content=b"")
    log = service.client.get("/_devcloud/requests/log").json()["requests"]
    assert [(each["method"], each["target"]) for each in log] == [
        ("GET", "/things/a?x=1+2"),
        ("PUT", "/things/b"),
    ]
    assert log[0]["caller"] == "me"
