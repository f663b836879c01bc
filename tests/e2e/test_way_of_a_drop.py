"""A drop's whole way: landing to gold, on the real SDKs, with real Spark.

All drops are delivered at once and travel together, as they would on a busy day; each test then
looks at what became of its own.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from adlfs import AzureBlobFileSystem
from deltalake import DeltaTable

from tests.e2e.conftest import Cloud, Json, wait
from tests.e2e.drops import USER, users

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]

JSON = {"content-type": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}

BROKEN = users(range(2500, 2510), gender="X").encode()
BAD_ROW = users([3999], socialNbFollowers="many").splitlines()[1]
NAMES = ["with blanks.csv", "été 東京.csv", "a%2Fb.csv", "..x..csv", "2026/11/deep.csv"]

GOOD: dict[str, bytes] = {
    "first.csv": users(range(1000, 1012)).encode(),
    "doubled.csv": users([2300, 2301]).encode(),
    "unannounced.csv": users([2200]).encode(),
    "posted.csv": users([2100]).encode(),
    "mostly.csv": (users(range(3000, 3400)) + BAD_ROW + "\n").encode(),
    "reversed.csv": users(
        [3500], header=list(reversed(USER)), country="Islande", countryCode="is"
    ).encode(),
    "packed.csv.gz": gzip.compress(users([3600]).encode()),
    "v1.csv": users([3700], socialNbFollowers="5").encode(),
    "utf16.csv": users([5200], country="Côte d'Ivoire", countryCode="ci").encode("utf-16"),
    **{name: users([4000 + index]).encode() for index, name in enumerate(NAMES)},
}

BAD: dict[str, tuple[bytes, str]] = {
    "empty.csv": (b"", "empty"),
    "header-only.csv": (users([]).encode(), "no"),
    "semicolons.csv": (users([1], delimiter=";").encode(), "';'"),
    "truncated.csv.gz": (gzip.compress(users(range(2000)).encode())[:-400], "gzip"),
    "wide.csv": (
        (",".join(f"c{i}" for i in range(200)) + "\n" + ",".join("1" * 200) + "\n").encode(),
        "none of the 24 columns of users",
    ),
    "one-line.csv": (b"x" * 50_000_000, ""),
    "picture.csv": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20, ""),
}


@pytest.fixture(scope="module")
def fleet(whole_cloud: Cloud) -> Iterator[Cloud]:
    """The cloud with every drop of this module on its way."""
    cloud = whole_cloud
    cloud.reset_faults()
    cloud.fault("lake", fault="event_double", path="doubled", times=None)
    cloud.fault("lake", fault="event_drop", path="unannounced|posted", times=None)
    for name, content in GOOD.items():
        cloud.land(f"landing/users/{name}", content)
    for name, (content, _) in BAD.items():
        cloud.land(f"landing/users/{name}", content)
    cloud.land("landing/users/broken.csv", BROKEN)
    cloud.land("landing/users/copy-of-first.csv", GOOD["first.csv"])
    cloud.land("landing/nobody/x.csv", b"a,b\n1,2\n")
    cloud.land("landing/user/y.csv", b"a,b\n1,2\n")
    cloud.land("raw/users/elsewhere.csv", users([5100]).encode())
    files = AzureBlobFileSystem(connection_string=cloud.config.lake_connection_string)
    with files.open("landing/users/by-adlfs.csv", "wb") as out:
        out.write(users([5000]).encode())
    # The lake tells landing times in whole seconds: the newer version lands in a later one.
    older = "landing/users/v1.csv"
    wait(lambda: cloud.run_of(older), 60, lambda: "nobody knows of the older version")
    landed = datetime.fromisoformat((cloud.run_of(older) or {})["landed_at"])
    wait(lambda: datetime.now(UTC) - landed > timedelta(seconds=1), 5, lambda: str(landed))
    cloud.land("landing/users/v2.csv", users([3700], socialNbFollowers="6").encode())
    yield cloud
    cloud.reset_faults()


@pytest.fixture(scope="module")
def posted(fleet: Cloud) -> list[httpx.Response]:
    """The same unannounced file, posted twice, by path and by URL."""
    path = "landing/users/posted.csv"
    url = f"{fleet.config.lake_url}/{path}"
    return [
        fleet.ask("POST", "/ingest", json={"dataset": "users", "path": spelling})
        for spelling in (path, url)
    ]


def run_of(fleet: Cloud, name: str) -> Json:
    """The run of a landed file of the users, once it is final."""
    return fleet.ended(f"landing/users/{name}")


def silver_users(cloud: Cloud) -> dict[int, dict[str, object]]:
    """The silver users by id, as any Delta reader sees them."""
    table = DeltaTable(str(cloud.config.lake_folder / "silver" / "users"))
    return {row["identifierHash"]: row for row in table.to_pyarrow_table().to_pylist()}


def test_a_post_starts_a_run_and_answers_with_it(
    fleet: Cloud, posted: list[httpx.Response]
) -> None:
    """202 with where to ask; the same version posted again answers with the same run."""
    first, second = posted
    assert first.status_code == 202, first.text
    run_id = first.json()["run_id"]
    assert first.headers["location"] == f"/runs/{run_id}"
    assert int(first.headers["retry-after"]) > 0
    assert (second.status_code, second.json()["run_id"]) == (202, run_id)
    run = run_of(fleet, "posted.csv")
    assert (run["run_id"], run["state"], run["source"]["via"]) == (run_id, "succeeded", "http")


def test_an_uploaded_file_reaches_gold(fleet: Cloud) -> None:
    """An upload alone is enough: the run succeeds, with its counts, and silver and gold show it."""
    run = run_of(fleet, "first.csv")
    assert run["state"] == "succeeded", run
    assert (run["rows"], run["accepted"], run["rejected"]) == (12, 12, 0)
    assert [line["state"] for line in run["history"]] == [
        "received",
        "claimed",
        "validating",
        "validated",
        "copying",
        "copied",
        "loading",
        "succeeded",
    ]
    assert run["load"]["result"]["rows_in"] == 12
    assert set(range(1000, 1012)) <= set(silver_users(fleet))
    gold = DeltaTable(str(fleet.config.lake_folder / "gold" / "buyers_by_country"))
    france = [r for r in gold.to_pyarrow_table().to_pylist() if r["country"] == "France"]
    assert france[0]["buyers"] >= 12


def test_a_file_whose_event_was_lost_is_found(fleet: Cloud) -> None:
    """The sweep finds what stands in landing, settled, without anybody having told."""
    run = run_of(fleet, "unannounced.csv")
    assert (run["state"], run["source"]["via"]) == ("succeeded", "sweep")


def test_a_doubled_event_is_one_run(fleet: Cloud) -> None:
    """An event delivered twice changes nothing."""
    assert run_of(fleet, "doubled.csv")["state"] == "succeeded"
    assert len([r for r in fleet.runs() if r["name"] == "doubled.csv"]) == 1


def test_the_same_content_again_is_a_duplicate(fleet: Cloud) -> None:
    """A content is accepted once, whatever its name; the other names the one that was."""
    runs = [run_of(fleet, name) for name in ("first.csv", "copy-of-first.csv")]
    assert sorted(run["state"] for run in runs) == ["duplicate", "succeeded"]
    accepted, repeated = sorted(runs, key=lambda run: run["state"], reverse=True)
    assert accepted["run_id"] in repeated["cause"]


def test_a_broken_file_is_quarantined_with_its_report(fleet: Cloud) -> None:
    """Beyond tolerance nothing is loaded; the report says rule, column and line."""
    run = run_of(fleet, "broken.csv")
    assert run["state"] == "quarantined"
    report = fleet.ask("GET", f"/runs/{run['run_id']}/report").json()
    assert report["verdict"] == "refused"
    check = next(c for c in report["checks"] if c["column"] == "gender")
    assert check["failed"] == 10
    assert check["samples"][0]["line"] == 2
    folder = f"quarantine/users/{run['run_id']}"
    assert fleet.read(f"{folder}/broken.csv") == BROKEN
    assert run["verdict"]["report"].startswith(f"{folder}/")
    assert json.loads(fleet.read(run["verdict"]["report"])) == report
    assert not set(range(2500, 2510)) & set(silver_users(fleet))


def test_a_few_bad_rows_are_split_off(fleet: Cloud) -> None:
    """Within tolerance the good rows are loaded and the bad ones kept as they came."""
    run = run_of(fleet, "mostly.csv")
    assert run["state"] == "succeeded", run
    assert (run["rows"], run["accepted"], run["rejected"]) == (401, 400, 1)
    rejects = fleet.read(run["verdict"]["rejects"]).decode().splitlines()
    assert rejects == [",".join(USER), BAD_ROW]
    reasons = fleet.read(run["verdict"]["rejects"] + ".reasons.jsonl").decode().splitlines()
    assert [json.loads(line)["line"] for line in reasons] == [402]
    silver = silver_users(fleet)
    assert 3399 in silver
    assert 3999 not in silver


def test_another_column_order_is_not_shifted(fleet: Cloud) -> None:
    """Columns are taken by name, by validation, copy and load alike."""
    assert run_of(fleet, "reversed.csv")["state"] == "succeeded"
    assert silver_users(fleet)[3500]["country"] == "Islande"


def test_a_gzip_is_taken_in(fleet: Cloud) -> None:
    """A compressed file goes the same way."""
    assert run_of(fleet, "packed.csv.gz")["state"] == "succeeded"
    assert 3600 in silver_users(fleet)


def test_the_newest_drop_wins(fleet: Cloud) -> None:
    """Silver holds the newest landed version of a key."""
    assert {run_of(fleet, name)["state"] for name in ("v1.csv", "v2.csv")} == {"succeeded"}
    assert silver_users(fleet)[3700]["socialNbFollowers"] == 6


@pytest.mark.parametrize("name", NAMES)
def test_names_are_just_names(fleet: Cloud, name: str) -> None:
    """Blanks, other scripts, percent signs, dots and folders in a name change nothing."""
    run = run_of(fleet, name)
    assert run["state"] == "succeeded", run
    assert run["name"] == name
    assert 4000 + NAMES.index(name) in silver_users(fleet)


def test_an_upload_by_another_client_starts_a_run(fleet: Cloud) -> None:
    """A producer may use adlfs as well as the SDK."""
    run = run_of(fleet, "by-adlfs.csv")
    assert (run["state"], run["source"]["via"]) == ("succeeded", "event")


def test_a_folder_nobody_owns_is_said_so(fleet: Cloud) -> None:
    """A file in the folder of no dataset is quarantined, with what to do."""
    for file, told in (("nobody/x", "there are "), ("user/y", "landing/users/")):
        run = fleet.ended(f"landing/{file}.csv")
        assert run["state"] == "quarantined"
        assert told in run["cause"]


def test_what_is_not_landing_starts_nothing(fleet: Cloud) -> None:
    """A file in another container is no drop."""
    run_of(fleet, "by-adlfs.csv")
    assert fleet.run_of("landing/users/elsewhere.csv") is None


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_clearly(fleet: Cloud, name: str) -> None:
    """What cannot be data ends in quarantine, saying why and what to do; nothing dies of it."""
    run = run_of(fleet, name)
    assert run["state"] == "quarantined", run
    assert BAD[name][1] in run["cause"].lower()
    report = fleet.ask("GET", f"/runs/{run['run_id']}/report").json()
    assert report["problem"]["reason"]
    assert report["problem"]["action"]


def test_utf_16_with_a_mark_is_read(fleet: Cloud) -> None:
    """A byte order mark says how the file is written: it is validated and copied as such."""
    run = run_of(fleet, "utf16.csv")
    assert run["state"] == "succeeded", run
    assert silver_users(fleet)[5200]["country"] == "Côte d'Ivoire"


def test_a_cancelled_run_can_be_tried_again(cloud: Cloud) -> None:
    """Cancel ends a run before its load; retry takes it up from where it stood."""
    cloud.fault("datafactory", method="POST", path="createRun", fault="status", status=503)
    path = cloud.land("landing/users/cancelled.csv", users([5300]).encode())
    wait(
        lambda: (cloud.run_of(path) or {}).get("state") == "copying",
        30,
        lambda: str(cloud.run_of(path)),
    )
    run = cloud.run_of(path)
    assert run is not None
    url = f"/runs/{run['run_id']}"
    cancelled = cloud.ask("POST", f"{url}/cancel", json={"reason": "not this one"})
    assert cancelled.status_code == 200, cancelled.text
    assert cancelled.json()["state"] == "cancelled"
    assert cloud.ask("POST", f"{url}/cancel").json()["state"] == "cancelled"
    cloud.reset_faults()
    assert cloud.ask("POST", f"{url}/retry").status_code == 202
    assert cloud.ended(path)["state"] == "succeeded"
    assert cloud.ask("POST", f"{url}/cancel").status_code == 409


def test_problems_are_problem_documents(cloud: Cloud) -> None:
    """Every error of the API says what is wrong, as RFC 9457 wants it."""
    cases = [
        ({"dataset": "nobody", "path": "landing/users/x.csv"}, 404),
        ({"dataset": "users", "path": "landing/users/absent.csv"}, 404),
        ({"dataset": "users", "path": "raw/users/x.csv"}, 400),
        ({"dataset": "users", "path": "landing/../raw/x.csv"}, 400),
        ({"dataset": "users"}, 422),
        ({"dataset": "users", "path": 7}, 422),
    ]
    for body, status in cases:
        reply = cloud.ask("POST", "/ingest", json=body)
        assert reply.status_code == status, (body, reply.text)
        assert reply.headers["content-type"].startswith("application/problem+json")
        assert reply.json()["status"] == status
        assert reply.json()["detail"]
    assert cloud.ask("POST", "/ingest", content=b"{", headers=JSON).status_code == 400
    assert cloud.ask("POST", "/ingest", content=b"x=1", headers=FORM).status_code == 415
    assert cloud.ask("GET", "/runs/20261122T130114Z-users-00000000").status_code == 404
    assert cloud.ask("GET", "/runs/nonsense").status_code == 404
    assert cloud.ask("GET", "/runs", params={"state": "lost"}).status_code == 400


def test_keys_are_asked_for(cloud: Cloud) -> None:
    """Without its key nothing answers but health."""
    bare = httpx.Client(base_url=cloud.config.url("functions"), timeout=30)
    with bare:
        for method, url in (("POST", "/ingest"), ("GET", "/runs"), ("GET", "/datasets")):
            assert bare.request(method, url).status_code == 401
        health = bare.get("/health")
    assert health.status_code == 200
    assert health.json()["status"] == "ok"


def test_datasets_say_what_may_be_dropped(cloud: Cloud) -> None:
    """The four tables, with their columns and keys."""
    found = {d["dataset"]: d for d in cloud.ask("GET", "/datasets").json()["datasets"]}
    assert {"users", "buyers_by_country", "top_seller_countries", "sellers_compared"} <= set(found)
    assert found["users"]["key"] == ["identifierHash"]
