"""A wrong contract is its dataset's trouble alone, and contracts change while the service runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ingest.errors import BadRequest, Conflict, Misconfigured, NotFound
from ingest.http import api
from ingest.http.web import ApiRequest
from ingest.paths import CURRENT_GOLD_DEFINITIONS, PUSHED
from ingest.service import Landfall
from ingest.wiring import Health
from landfall.protocol import State
from tests.ingest.instances import Instances, contract

WRONG = "apiVersion: v3.2.0\nkind: DataContract\nschema: [\n"


@pytest.fixture
def many(tmp_path: Path) -> Instances:
    """A lake whose project has one good contract."""
    return Instances(tmp_path)


def write(many: Instances, file: str, text: str) -> None:
    """Put a file into the folder of contracts; the services look at it when a second has passed."""
    (many.folder / file).write_text(text)
    many.clock.turn(seconds=2)


def drop(many: Instances, by: Landfall, path: str) -> str:
    """Land a good drop, and let one process take it as far as it comes."""
    name = many.land(path, f"id\n{len(many.lake.files)}\n".encode())
    many.run_on(by, messages=by.on_landing(path))
    return name


def wait(many: Instances, by: Landfall, ticks: int = 3) -> None:
    """Let ticks pass, each a few minutes after the other."""
    for _ in range(ticks):
        many.clock.turn(minutes=3)
        many.run_on(by, messages=by.reconcile())


def waits(by: Landfall, run_id: str) -> str:
    """What a caller is told that a run waits for."""
    return str(api.get_run(by, ApiRequest(route={"run_id": run_id})).body["waits"])


def test_a_wrong_contract_stops_no_other_dataset(many: Instances) -> None:
    """Drops of the others succeed; those of the wrong one wait with file, place and reason."""
    write(many, "bad.odcs.yaml", WRONG)
    one = many.process()
    good = drop(many, one, "landing/things/x.csv")
    waiting = drop(many, one, "landing/bad/x.csv")
    wait(many, one)
    many.settle(one)
    assert many.state(good) == [State.SUCCEEDED]
    assert not many.run(waiting).final
    assert "bad.odcs.yaml: document: is not readable YAML" in waits(one, waiting)
    shown = api.list_datasets(one, ApiRequest()).body
    assert [dataset["dataset"] for dataset in shown["datasets"]] == ["things"]
    (problem,) = shown["problems"]
    assert (problem["file"], problem["datasets"]) == ("bad.odcs.yaml", ["bad"])


def test_drops_go_on_when_the_contract_is_corrected(many: Instances) -> None:
    """Without a restart, and at the next tick: nobody waits for a reminder that has doubled."""
    write(many, "bad.odcs.yaml", WRONG)
    one = many.process()
    waiting = drop(many, one, "landing/bad/x.csv")
    wait(many, one, ticks=10)
    write(many, "bad.odcs.yaml", contract("bad"))
    many.settle(one)
    assert many.state(waiting) == [State.SUCCEEDED]


def test_a_run_ends_by_the_version_that_validated_it(many: Instances) -> None:
    """The contract breaks while a drop is copied: it is loaded by the version that is kept."""
    one = many.process()
    (copied,) = many.copied(one, "x.csv")
    write(many, "things.odcs.yaml", WRONG)
    later = drop(many, one, "landing/things/later.csv")
    many.settle(one)
    assert many.state(copied) == [State.SUCCEEDED]
    assert not many.run(later).final
    assert waits(one, later).startswith("the contract of dataset things is wrong")


@pytest.mark.parametrize(
    ("file", "text", "datasets"),
    [
        ("copy.odcs.yaml", contract("things"), ["copy"]),
        ("things.v2.odcs.yaml", contract("things", "2.0.0"), []),
        ("Upper.odcs.yaml", contract("Upper"), []),
        ("311 calls.odcs.yaml", contract('"311 calls"'), []),
        ("other.odcs.yaml", contract("orders"), ["orders", "other"]),
        ("orders.odcs.yml", contract("orders"), []),
        ("latin.odcs.yaml", contract("latin").replace("active", "\udce9"), ["latin"]),
    ],
)
def test_a_file_that_is_nobodys_contract_is_named(
    many: Instances, file: str, text: str, datasets: list[str]
) -> None:
    """A second contract of a dataset, a name that is none: the one that stands stays in force."""
    (many.folder / file).write_bytes(text.encode(errors="surrogateescape"))
    one = many.process()
    (problem,) = one.store.problems
    assert (problem.file, sorted(problem.datasets)) == (file, datasets)
    assert one.contracts["things"].version == "1.0.0"
    assert many.state(drop(many, one, "landing/things/x.csv")) != [State.QUARANTINED]


def test_a_file_in_a_folder_is_left_alone_while_nobody_knows_the_drops(many: Instances) -> None:
    """Whether a folder is one drop or many is what the contract says: they stay in landing."""
    folder = "customProperties: [{property: dropKind, value: folder}]"
    write(many, "parts.odcs.yaml", WRONG)
    one = many.process()
    part = many.land("landing/parts/may/a.csv", b"id\n1\n")
    many.land("landing/parts/may/_SUCCESS", b"")
    assert one.on_landing("landing/parts/may/a.csv") == []
    assert one.on_landing("landing/parts/may/_SUCCESS") == []
    wait(many, one)
    assert "landing/parts/may/a.csv" in many.lake.files
    write(many, "parts.odcs.yaml", contract("parts", more=folder))
    many.clock.turn(minutes=3)
    for message in one.reconcile():
        one.handle(message)
    (run,) = one.manifest.newest(limit=9, dataset="parts")
    assert (run.summary["name"], run.run_id != part) == ("may", True)


def test_a_caller_may_name_a_file_whose_contract_is_wrong(many: Instances) -> None:
    """It is taken in and waits; a dataset that nobody has heard of is still not found."""
    write(many, "bad.odcs.yaml", WRONG)
    one = many.process()
    many.land("landing/bad/x.csv", b"id\n1\n")
    run, _ = one.ingest("bad", "landing/bad/x.csv")
    assert run.dataset == "bad"
    with pytest.raises(NotFound, match="there is no dataset 'worse'"):
        one.ingest("worse", "landing/worse/x.csv")


def test_health_tells_of_wrong_contracts_and_stays_good(many: Instances) -> None:
    """An instance that serves all other datasets must not be taken out of service."""
    write(many, "bad.odcs.yaml", WRONG)
    problems = many.process().store.problems
    reply = api.health(lambda: Health({"lake": "ok"}, problems))
    assert (reply.status, reply.body["status"]) == (200, "degraded")
    assert reply.body["contracts"][0]["file"] == "bad.odcs.yaml"
    assert api.health(lambda: Health({"lake": "gone"}, problems)).status == 503


# -- changes --------------------------------------------------------------------------------


def test_a_new_contract_is_taken_without_a_restart(many: Instances) -> None:
    """A file that is put into the folder is a dataset from then on."""
    one = many.process()
    write(many, "more.odcs.yaml", contract("more"))
    name = drop(many, one, "landing/more/x.csv")
    many.settle(one)
    assert many.state(name) == [State.SUCCEEDED]


def test_a_folder_that_vanishes_takes_nothing_out_of_force(many: Instances, tmp_path: Path) -> None:
    """What was read stays in force and is told; a process that begins then does not start."""
    one = many.process()
    shutil.move(many.folder, tmp_path / "away")
    many.clock.turn(seconds=2)
    assert set(one.contracts) == {"things"}
    (problem,) = one.store.problems
    assert "what it held stays in force" in problem.reason
    with pytest.raises(Misconfigured, match="contracts"):
        many.process()
    shutil.move(tmp_path / "away", many.folder)
    many.clock.turn(seconds=2)
    assert one.store.problems == ()


def test_a_pushed_contract_is_taken_by_all_instances(many: Instances) -> None:
    """One takes it at once, the others within a minute; it is kept, and wins over the folder."""
    one, two = many.process(), many.process()
    assert set(two.contracts) == {"things"}
    one.store.push("more", contract("more"), replaces="")
    one.store.push("things", contract("things", "2.0.0"), replaces=None)
    assert {c.version for c in one.contracts.values()} == {"1.0.0", "2.0.0"}
    assert set(two.contracts) == {"things"}
    many.clock.turn(minutes=2)
    assert two.contracts["things"].version == "2.0.0"
    assert (two.store.origin("things"), two.store.origin("more")) == ("pushed", "pushed")
    assert many.process().contracts.keys() == {"things", "more"}


def test_what_was_pushed_can_be_withdrawn(many: Instances) -> None:
    """Then the project's is in force again; where there is none, drops wait."""
    one = many.process()
    one.store.push("things", contract("things", "2.0.0"), replaces=None)
    one.store.push("more", contract("more"), replaces=None)
    back = one.store.withdraw("things")
    assert back is not None
    assert back.version == "1.0.0"
    assert one.store.withdraw("more") is None
    assert set(one.contracts) == {"things"}
    with pytest.raises(NotFound):
        one.store.withdraw("more")


def test_a_push_that_was_compared_with_another_version_is_a_conflict(many: Instances) -> None:
    """Two people change a contract: the second one sees what the first has done."""
    one = many.process()
    seen = one.contracts["things"].digest
    one.store.push("things", contract("things", "2.0.0"), replaces=seen)
    with pytest.raises(Conflict, match=r"version 2\.0\.0"):
        one.store.push("things", contract("things", "3.0.0"), replaces=seen)


@pytest.mark.parametrize("text", [WRONG, contract("others"), contract('"Bad Name"')])
def test_a_wrong_contract_is_not_pushed(many: Instances, text: str) -> None:
    """The caller gets the reason; what is in force stays."""
    one = many.process()
    with pytest.raises(BadRequest, match=r"things\.odcs\.yaml"):
        one.store.push("things", text, replaces=None)
    assert one.contracts["things"].version == "1.0.0"
    assert not [path for path in many.lake.files if path.startswith(PUSHED)]


def test_a_push_that_would_hurt_another_dataset_is_refused(many: Instances) -> None:
    """Another contract refers to a column that the new version does not have."""
    more = "      - {name: at, logicalType: string, relationships: [{to: things.id}]}"
    write(many, "facts.odcs.yaml", contract("facts", more=more.replace("string", "integer")))
    one = many.process()
    assert one.store.problems == ()
    other = contract("things").replace("logicalType: integer", "logicalType: string")
    with pytest.raises(BadRequest, match=r"facts\.odcs\.yaml"):
        one.store.push("things", other, replaces=None)


# -- gold -----------------------------------------------------------------------------------


def gold_names(many: Instances) -> set[str]:
    """The gold tables of the definitions that jobs read now."""
    document = json.loads(many.lake.get(CURRENT_GOLD_DEFINITIONS)[0])
    return {table["name"] for table in document["tables"]}


def test_a_wrong_gold_table_is_left_out_and_told(many: Instances) -> None:
    """One broken contract and one broken query: drops of all other datasets succeed."""
    gold = many.project / "gold"
    gold.mkdir()
    (gold / "good.sql").write_text("SELECT id FROM silver_things")
    (gold / "broken.sql").write_text("DROP TABLE silver_things")
    (gold / "of_bad.sql").write_text("SELECT id FROM silver_bad")
    write(many, "bad.odcs.yaml", WRONG)
    write(many, "others.odcs.yaml", contract("others"))
    one = many.process()
    names = [drop(many, one, f"landing/{dataset}/x.csv") for dataset in ("things", "others")]
    many.settle(one)
    assert many.state(*names) == [State.SUCCEEDED] * 2
    assert gold_names(many) == {"good", "of_bad"}  # silver of a wrong contract is still there
    (problem,) = api.list_datasets(one, ApiRequest()).body["gold_problems"]
    assert problem["file"] == "broken.sql"


def test_a_gold_table_is_taken_without_a_restart(many: Instances) -> None:
    """The next batch after the file was written builds it."""
    one = many.process()
    drop(many, one, "landing/things/x.csv")
    many.settle(one)
    assert gold_names(many) == set()
    (many.project / "gold").mkdir()
    (many.project / "gold" / "more.sql").write_text("SELECT id FROM silver_things")
    many.clock.turn(seconds=2)
    drop(many, one, "landing/things/y.csv")
    many.settle(one)
    assert gold_names(many) == {"more"}


def test_a_file_in_the_wrong_folder_says_where_it_belongs(many: Instances) -> None:
    """It has a header, and that is another dataset's."""
    more = "".join(f"      - {{name: {name}, logicalType: string}}\n" for name in ("day", "rain"))
    write(many, "weather.odcs.yaml", contract("weather", more=more).replace("name: id", "name: n"))
    one = many.process()
    name = many.land("landing/things/KNYC.csv", b"n,day,rain\n1,mon,yes\n")
    many.run_on(one, messages=one.on_landing("landing/things/KNYC.csv"))
    assert many.state(name) == [State.QUARANTINED]
    assert "looks like a file of dataset weather" in many.run(name).cause
