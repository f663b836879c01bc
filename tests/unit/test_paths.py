"""Names in the lake: identities are stable, and no name leads out of its folder."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import paths
from ingest.errors import BadRequest
from landfall import protocol

LANDED = datetime(2026, 11, 22, 13, 1, 14, tzinfo=UTC)
HOSTS = frozenset(
    {
        "127.0.0.1:9000/landfall",
        "landfall.dfs.core.windows.net",
        "landfall.blob.core.windows.net",
    }
)


def test_run_id_says_when_and_of_what() -> None:
    """A run id begins with the landing time and names the dataset."""
    run_id = protocol.run_id(LANDED, "users", "landing/users/may.csv", '"0x8D"')
    assert run_id.startswith("20261122T130114Z-users-")
    assert protocol.is_run_id(run_id)


@given(st.text(), st.text(), st.text())
def test_run_id_is_the_versions_own(path: str, etag: str, other: str) -> None:
    """The same version gives the same id, its ETag quoted or not; another version another."""
    etag, other = etag.strip('"'), other.strip('"')
    first = protocol.run_id(LANDED, "users", path, etag)
    assert first == protocol.run_id(LANDED, "users", path, f'"{etag}"')
    if other != etag:
        assert first != protocol.run_id(LANDED, "users", path, other)


@given(st.text(alphabet=st.characters(codec="utf-8"), min_size=1, max_size=200))
def test_safe_names_hold_nothing_that_others_interpret(name: str) -> None:
    """The name in raw is plain ASCII, hides nothing, and never climbs."""
    safe = paths.safe_name(f"landing/users/{name}")
    assert safe.isascii()
    assert not set(safe) & set("%*?[]{} /\\")
    assert safe
    assert not safe.startswith((".", "_"))
    assert len(safe) <= 141


def test_plain_names_stay_as_they_are() -> None:
    """An ordinary name is kept, its suffixes too."""
    assert paths.safe_name("landing/users/may-2026.csv.gz") == "may-2026.csv.gz"


@pytest.mark.parametrize(
    "text",
    [
        "landing/users/may.csv",
        "https://landfall.dfs.core.windows.net/landing/users/may.csv",
        "https://landfall.blob.core.windows.net/landing/users/may.csv",
        "abfss://landing@landfall.dfs.core.windows.net/users/may.csv",
        "http://127.0.0.1:9000/landfall/landing/users/may.csv",
    ],
)
def test_callers_name_a_file_by_path_or_url(text: str) -> None:
    """All spellings of one file mean the same path."""
    assert paths.landing_path(text, HOSTS) == "landing/users/may.csv"


def test_url_escapes_are_decoded_once() -> None:
    """`%252F` in a URL is the literal text `%2F` in a name."""
    url = "https://landfall.dfs.core.windows.net/landing/users/a%20b%252Fc.csv"
    assert paths.landing_path(url, HOSTS) == "landing/users/a b%2Fc.csv"


@pytest.mark.parametrize(
    "text",
    [
        "raw/users/may.csv",
        "landing",
        "landing/",
        "/landing/users/may.csv",
        "landing/../raw/may.csv",
        "landing/users/./may.csv",
        "landing/users//may.csv",
        "landing/users/may\n.csv",
        "https://elsewhere.dfs.core.windows.net/landing/users/may.csv",
        "https://landfall.dfs.core.windows.net/landing/%2e%2e/raw/may.csv",
        "abfss://raw@landfall.dfs.core.windows.net/users/may.csv",
        "ftp://landfall.dfs.core.windows.net/landing/users/may.csv",
        "",
    ],
)
def test_other_places_are_refused(text: str) -> None:
    """Another account, container or a path that climbs is the caller's mistake."""
    with pytest.raises(BadRequest) as caught:
        paths.landing_path(text, HOSTS)
    assert caught.value.status == 400


@given(st.text(max_size=60))
def test_no_accepted_path_climbs(text: str) -> None:
    """Whatever is accepted stays in landing."""
    try:
        path = paths.landing_path(text, HOSTS)
    except BadRequest:
        return
    assert path.startswith("landing/")
    assert ".." not in path.split("/")


@pytest.mark.parametrize(
    ("path", "dataset", "name"),
    [
        ("landing/users/may.csv", "users", "may.csv"),
        ("landing/users/2026/may.csv", "users", "2026/may.csv"),
        ("landing/may.csv", protocol.UNASSIGNED, "may.csv"),
        ("landing/Not A Dataset/may.csv", protocol.UNASSIGNED, "Not A Dataset/may.csv"),
    ],
)
def test_the_folder_names_the_dataset(path: str, dataset: str, name: str) -> None:
    """A drop belongs to the dataset of its folder."""
    assert protocol.dataset_of(path) == dataset
    assert protocol.name_of(path) == name


@pytest.mark.parametrize(
    "name",
    ["_SUCCESS", ".may.csv.crc", "may.csv.tmp", "_committed_1", "_temporary/0/part-0.csv"],
)
def test_writers_marks_are_not_drops(name: str) -> None:
    """What Spark, Hadoop and azcopy leave beside data is not data."""
    assert not paths.is_drop(f"landing/users/{name}")


def test_final_documents_are_filed_by_day() -> None:
    """The day in the run id is the day it is filed under; what is no run id has no place."""
    run_id = "20261122T130114Z-users-1f3a9c20"
    assert paths.archived_document(run_id) == f"manifest/runs/users/20261122/{run_id}.json"
    with pytest.raises(BadRequest):
        paths.archived_document("../../secrets")
