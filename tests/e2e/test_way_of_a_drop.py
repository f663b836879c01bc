"""A drop's whole way: landing to gold, on the real SDKs, with real Spark."""

from __future__ import annotations

import gzip
import json

import httpx
import pytest
from adlfs import AzureBlobFileSystem
from deltalake import DeltaTable

from tests.e2e.conftest import Cloud, wait
from tests.e2e.drops import USER, users

pytestmark = [pytest.mark.spark, pytest.mark.timeout(400)]


def silver_users(cloud: Cloud) -> dict[int, dict[str, object]]:
    """The silver users by id, as any Delta reader sees them."""
    table = DeltaTable(str(cloud.config.lake_folder / "silver" / "users"))
    return {row["identifierHash"]: row for row in table.to_pyarrow_table().to_pylist()}


def test_an_uploaded_file_reaches_gold(cloud: Cloud) -> None:
    """An upload alone is enough: the run succeeds, with its counts, and silver and gold show it."""
    path = cloud.land("landing/users/first.csv", users(range(1000, 1012)).encode())
    run = cloud.ended(path)
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
    assert set(range(1000, 1012)) <= set(silver_users(cloud))
    gold = DeltaTable(str(cloud.config.lake_folder / "gold" / "buyers_by_country"))
    france = [r for r in gold.to_pyarrow_table().to_pylist() if r["country"] == "France"]
    assert france[0]["buyers"] >= 12
    assert run["load"]["result"]["rows_in"] == 12


def test_a_post_starts_a_run_and_answers_with_it(cloud: Cloud) -> None:
    """202 with where to ask; the same version posted again answers with the same run."""
    content = users(range(2000, 2003)).encode()
    with cloud_quiet(cloud):
        path = cloud.land("landing/users/posted.csv", content)
        first = cloud.ask("POST", "/ingest", json={"dataset": "users", "path": path})
    assert first.status_code == 202, first.text
    run_id = first.json()["run_id"]
    assert first.headers["location"] == f"/runs/{run_id}"
    assert int(first.headers["retry-after"]) > 0
    assert cloud.ended(path)["state"] == "succeeded"
    assert cloud.details(run_id)["source"]["via"] == "http"


def cloud_quiet(cloud: Cloud) -> _Quiet:
    """While this lasts, the lake announces nothing."""
    return _Quiet(cloud)


class _Quiet:
    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def __enter__(self) -> None:
        self._cloud.fault("lake", fault="event_drop", path=".", times=None)

    def __exit__(self, *_: object) -> None:
        url = f"{self._cloud.config.url('lake')}/_devcloud/faults"
        httpx.delete(url).raise_for_status()


def test_the_same_version_posted_twice_is_one_run(cloud: Cloud) -> None:
    """Two callers ask for the same version at once: both are told the same run."""
    with cloud_quiet(cloud):
        path = cloud.land("landing/users/posted-twice.csv", users([2100]).encode())
        url = f"{cloud.config.lake_url}/{path}"
        one = cloud.ask("POST", "/ingest", json={"dataset": "users", "path": path})
        run_id = one.json()["run_id"]
        two = cloud.ask("POST", "/ingest", json={"dataset": "users", "path": url})
    assert one.status_code == 202
    assert (two.status_code, two.json()["run_id"]) == (202, run_id)
    assert cloud.ended(path)["state"] == "succeeded"


def test_a_file_whose_event_was_lost_is_found(cloud: Cloud) -> None:
    """The sweep finds what stands in landing, settled, without anybody having told."""
    with cloud_quiet(cloud):
        path = cloud.land("landing/users/unannounced.csv", users([2200]).encode())
        run = cloud.ended(path)
    assert run["state"] == "succeeded"
    assert run["source"]["via"] == "sweep"


def test_a_doubled_event_is_one_run(cloud: Cloud) -> None:
    """Every event delivered twice changes nothing."""
    cloud.fault("lake", fault="event_double", path="doubled", times=None)
    path = cloud.land("landing/users/doubled.csv", users([2300, 2301]).encode())
    run = cloud.ended(path)
    assert run["state"] == "succeeded"
    assert len([r for r in cloud.runs() if r["name"] == "doubled.csv"]) == 1


def test_the_same_content_again_is_a_duplicate(cloud: Cloud) -> None:
    """A content that was accepted is not loaded a second time, whatever its name."""
    content = users([2400, 2401]).encode()
    first = cloud.ended(cloud.land("landing/users/content-1.csv", content))
    again = cloud.ended(cloud.land("landing/users/content-2.csv", content))
    assert first["state"] == "succeeded"
    assert again["state"] == "duplicate"
    assert first["run_id"] in again["cause"]


def test_a_broken_file_is_quarantined_with_its_report(cloud: Cloud) -> None:
    """Beyond tolerance nothing is loaded; the report says rule, column, line and value."""
    rows = users(range(2500, 2510), gender="X")
    path = cloud.land("landing/users/broken.csv", rows.encode())
    run = cloud.ended(path)
    assert run["state"] == "quarantined"
    report = cloud.ask("GET", f"/runs/{run['run_id']}/report").json()
    assert report["verdict"] == "refused"
    check = next(c for c in report["checks"] if c["column"] == "gender")
    assert check["failed"] == 10
    assert check["samples"][0]["line"] == 2
    folder = f"quarantine/users/{run['run_id']}"
    assert cloud.read(f"{folder}/broken.csv") == rows.encode()
    assert json.loads(cloud.read(f"{folder}/report.json")) == report
    assert not set(range(2500, 2510)) & set(silver_users(cloud))


def test_a_few_bad_rows_are_split_off(cloud: Cloud) -> None:
    """Within tolerance the good rows are loaded and the bad ones kept as they came."""
    good = users(range(3000, 3400))
    bad = users([3999], socialNbFollowers="many").splitlines()[1]
    path = cloud.land("landing/users/mostly.csv", (good + bad + "\n").encode())
    run = cloud.ended(path)
    assert run["state"] == "succeeded", run
    assert (run["rows"], run["accepted"], run["rejected"]) == (401, 400, 1)
    rejects = cloud.read(run["verdict"]["rejects"]).decode().splitlines()
    assert rejects == [",".join(USER), bad]
    reasons = cloud.read(run["verdict"]["rejects"] + ".reasons.jsonl").decode().splitlines()
    assert [json.loads(line)["line"] for line in reasons] == [402]
    silver = silver_users(cloud)
    assert 3399 in silver
    assert 3999 not in silver


def test_another_column_order_is_not_shifted(cloud: Cloud) -> None:
    """Columns are taken by name, by validation, copy and load alike."""
    content = users([3500], header=list(reversed(USER)), country="Islande", countryCode="is")
    assert cloud.ended(cloud.land("landing/users/reversed.csv", content.encode()))["state"] == (
        "succeeded"
    )
    assert silver_users(cloud)[3500]["country"] == "Islande"


def test_a_gzip_is_taken_in(cloud: Cloud) -> None:
    """A compressed file goes the same way."""
    content = gzip.compress(users([3600]).encode())
    assert cloud.ended(cloud.land("landing/users/packed.csv.gz", content))["state"] == "succeeded"
    assert 3600 in silver_users(cloud)


def test_a_late_drop_does_not_win_over_a_newer_one(cloud: Cloud) -> None:
    """Silver holds the newest landed version of a key."""
    cloud.ended(cloud.land("landing/users/v1.csv", users([3700], socialNbFollowers="5").encode()))
    cloud.ended(cloud.land("landing/users/v2.csv", users([3700], socialNbFollowers="6").encode()))
    assert silver_users(cloud)[3700]["socialNbFollowers"] == 6


@pytest.mark.parametrize("name", ["with blanks.csv", "été 東京.csv", "a%2Fb.csv", "..x..csv"])
def test_names_are_just_names(cloud: Cloud, name: str) -> None:
    """Blanks, other scripts, percent signs and dots in a name change nothing."""
    identity = 4000 + sum(name.encode())
    run = cloud.ended(cloud.land(f"landing/users/{name}", users([identity]).encode()))
    assert run["state"] == "succeeded", run
    assert run["name"] == name


def test_an_upload_by_another_client_starts_a_run(cloud: Cloud) -> None:
    """A producer may use adlfs as well as the SDK."""
    files = AzureBlobFileSystem(connection_string=cloud.config.lake_connection_string)
    with files.open("landing/users/by-adlfs.csv", "wb") as out:
        out.write(users([5000]).encode())
    run = cloud.ended("landing/users/by-adlfs.csv")
    assert run["state"] == "succeeded"
    assert run["source"]["via"] == "event"


def test_a_folder_nobody_owns_is_said_so(cloud: Cloud) -> None:
    """A file in the folder of no dataset is quarantined, with what to do."""
    run = cloud.ended(cloud.land("landing/nobody/x.csv", b"a,b\n1,2\n"))
    assert run["state"] == "quarantined"
    assert "landing/users/" in run["cause"]


def test_what_is_not_landing_starts_nothing(cloud: Cloud) -> None:
    """A file in another container is no drop."""
    cloud.land("raw/users/elsewhere.csv", users([5100]).encode())
    cloud.ended(cloud.land("landing/users/after-elsewhere.csv", users([5101]).encode()))
    assert cloud.run_of("landing/users/elsewhere.csv") is None


BAD_FILES: dict[str, tuple[bytes, str]] = {
    "empty.csv": (b"", "empty"),
    "header-only.csv": (users([]).encode(), "no"),
    "semicolons.csv": (users([1], delimiter=";").encode(), "delimiter"),
    "truncated.csv.gz": (gzip.compress(users(range(2000)).encode())[:-400], "gzip"),
    "wide.csv": (
        (",".join(f"c{i}" for i in range(200)) + "\n" + ",".join("1" * 200) + "\n").encode(),
        "missing",
    ),
    "one-line.csv": (b"x" * 50_000_000, ""),
    "picture.csv": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20, ""),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_refused_clearly(cloud: Cloud, name: str) -> None:
    """What cannot be data ends in quarantine, saying why and what to do; nothing dies of it."""
    content, word = BAD_FILES[name]
    run = cloud.ended(cloud.land(f"landing/users/{name}", content))
    assert run["state"] == "quarantined", run
    assert word in run["cause"].lower()
    report = cloud.ask("GET", f"/runs/{run['run_id']}/report").json()
    assert report["problem"]["reason"]
    assert report["problem"]["action"]


def test_utf_16_with_a_mark_is_read(cloud: Cloud) -> None:
    """A byte order mark says how the file is written: it is judged and copied as such."""
    content = users([5200], country="Côte d'Ivoire").encode("utf-16")
    run = cloud.ended(cloud.land("landing/users/utf16.csv", content))
    assert run["state"] == "succeeded", run
    assert silver_users(cloud)[5200]["country"] == "Côte d'Ivoire"


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
    cloud.calm()
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


JSON = {"content-type": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


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
