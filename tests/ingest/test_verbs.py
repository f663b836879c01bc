"""The operators' verbs: each does what it says, once for each key, and says why where it cannot."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ingest import paths
from ingest.errors import Throttled, Unavailable
from ingest.http import api, api_verbs, web
from ingest.operations.operators import OperatorRequest, Operators, ReplayOrigin
from ingest.runs.messages import Replay, next_messages
from ingest.runs.relocation import relocate
from ingest.runs.run import Run
from ingest.service import Landfall
from landfall.protocol import State
from tests.e2e.drops import users
from tests.ingest.conftest import Clock, StorageAccount
from tests.ingest.harness import SETTLE, ServiceHarness


@pytest.fixture
def harness(storage_account: StorageAccount, clock: Clock) -> ServiceHarness:
    """A service of its own on the module's lake."""
    return ServiceHarness(storage_account, clock)


def good(seed: int, rows: int = 3) -> bytes:
    """A file without a fault."""
    return users(range(seed * 100, seed * 100 + rows)).encode()


def mixed(seed: int) -> bytes:
    """A file of 40 good rows and a bad one, which is within the tolerance."""
    bad = users([seed * 100 + 99], gender="X").splitlines()[1]
    return good(seed, 40) + f"{bad}\n".encode()


# -- cancel ---------------------------------------------------------------------------------


def test_cancel_stops_the_pipeline_run_too(harness: ServiceHarness) -> None:
    """A copy under way is stopped at Data Factory, by its attempt where its id is not known yet."""
    harness.factory.holding = True
    run = harness.take("landing/users/stop.csv", good(1))
    assert run.state is State.COPYING
    reply = harness.post(api_verbs.cancel_run, {"reason": "wrong file"}, run_id=run.run_id)
    assert (reply.status, reply.body["state"]) == (200, "cancelled")
    assert harness.factory.cancelled == ["adf-1"]
    attempt = f"{run.run_id}.a1"
    assert not harness.service.fence(run.run_id, attempt, "adf-1").granted


def test_cancel_is_tried_again_at_a_factory_that_was_away(harness: ServiceHarness) -> None:
    """The run is cancelled at once; asked again, the pipeline run is stopped again."""
    harness.factory.holding = True
    run = harness.take("landing/users/away.csv", good(2))
    cancel = harness.factory.cancel

    def away(adf_run_id: str) -> None:
        raise Unavailable(adf_run_id)

    harness.factory.cancel = away  # type: ignore[method-assign]
    assert harness.post(api_verbs.cancel_run, run_id=run.run_id).status == 200
    harness.factory.cancel = cancel  # type: ignore[method-assign]
    assert harness.post(api_verbs.cancel_run, run_id=run.run_id).status == 200
    assert harness.factory.cancelled == ["adf-1"]
    assert len([line for line in harness.run(run.run_id).history if line.event == "cancel"]) == 1


def test_a_loading_run_is_not_cancelled(harness: ServiceHarness) -> None:
    """Its rows may be in silver: the answer says so and names the batch."""
    harness.workspace.status = "running"
    run = harness.take("landing/users/loading.csv", good(3))
    assert run.state is State.LOADING
    reply = harness.post(api_verbs.cancel_run, run_id=run.run_id)
    assert reply.status == 409
    assert run.load is not None
    assert run.load.batch_id in reply.body["detail"]
    harness.workspace.status = "succeeded"
    harness.drive(harness.service.reconcile())


def test_a_request_to_cancel_that_comes_late_again_spares_the_retried_run(
    harness: ServiceHarness,
) -> None:
    """Its token was heard: the run that was taken up again since goes on, and so does its copy."""
    harness.factory.holding = True
    run = harness.take("landing/users/spared.csv", good(13))
    verbs, once = harness.service.operators, OperatorRequest("wrong file", "t1")
    assert verbs.cancel(run.run_id, once).state is State.CANCELLED
    again = verbs.retry(run.run_id, OperatorRequest("the right one after all", "t2"))
    harness.drive(next_messages(again))
    stopped = list(harness.factory.cancelled)
    assert verbs.cancel(run.run_id, once).state is State.COPYING
    assert harness.factory.cancelled == stopped
    assert verbs.cancel(run.run_id, OperatorRequest("wrong again", "t3")).state is State.CANCELLED


# -- replay ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("origin", "copies"), [("raw", 2), ("bronze", 1)])
def test_a_replay_goes_through_it_again(harness: ServiceHarness, origin: str, copies: int) -> None:
    """From raw it is validated, copied and loaded again, from bronze only loaded; its id stays."""
    run = harness.take(f"landing/users/{origin}.csv", good(4 + copies))
    assert run.state is State.SUCCEEDED
    reply = harness.post(
        api_verbs.replay_run, {"from": origin, "reason": "a new job"}, run_id=run.run_id
    )
    assert reply.status == 202
    harness.drive(list(reply.messages))
    again = harness.run(run.run_id)
    assert again.state is State.SUCCEEDED
    assert len(harness.factory.started) == copies
    attempts = [asked["attemptId"] for asked in harness.factory.started]
    assert len(set(attempts)) == copies
    assert harness.workspace.loads_of(run.run_id) == 2
    assert [line.cause for line in again.history if line.event.startswith("replay")] == [
        "a new job"
    ]


def test_a_replay_of_a_refused_drop_judges_it_again(harness: ServiceHarness) -> None:
    """The file comes back from quarantine; it is refused again, and nothing is lost of it."""
    run = harness.take("landing/users/refused.csv", users(range(900, 910), gender="X").encode())
    assert run.state is State.QUARANTINED
    reply = harness.post(api_verbs.replay_run, run_id=run.run_id)
    harness.drive(list(reply.messages))
    again = harness.run(run.run_id)
    assert again.state is State.QUARANTINED
    assert again.raw is not None
    assert harness.storage_account.lake.head(again.raw) is not None


def test_the_file_of_a_run_taken_up_again_is_where_its_document_says(
    harness: ServiceHarness,
) -> None:
    """However far the worker came that took it up, and whatever becomes of the run then."""
    lake, verbs = harness.storage_account.lake, harness.service.operators
    run = harness.take("landing/users/moved.csv", users(range(930, 940), gender="X").encode())
    refused = run.raw
    for turn in range(2):
        # Nobody goes on with it after its document was written: its file has not moved yet.
        again = verbs.replay(
            run.run_id, ReplayOrigin.RAW, OperatorRequest("look again", f"r{turn}")
        )
        assert (again.state, again.came_from) == (State.CLAIMED, refused)
        cancelled = verbs.cancel(run.run_id, OperatorRequest("no", f"c{turn}"))
        assert cancelled.raw == again.raw
        assert lake.head(str(again.raw)) is not None
        harness.drive(next_messages(verbs.retry(run.run_id, OperatorRequest("yes", f"y{turn}"))))
        ended = harness.run(run.run_id)
        assert ended.state is State.QUARANTINED
        assert lake.head(str(ended.raw)) is not None
        # A worker that stood still since then, at the move of an earlier turn, moves nothing.
        relocate(run, lake)
        relocate(again, lake)
        assert lake.head(str(ended.raw)) is not None
        run, refused = ended, ended.raw


def test_what_cannot_be_replayed_says_why(harness: ServiceHarness) -> None:
    """No such run, one under way, one that was never copied, and a file that is gone."""
    unknown = "20261122T130114Z-users-00000000"
    assert harness.post(api_verbs.replay_run, run_id=unknown).status == 404
    assert harness.post(api_verbs.replay_run, {"from": "gold"}, run_id=unknown).status == 422
    refused = harness.take("landing/users/no.csv", users(range(920, 930), gender="X").encode())
    reply = harness.post(api_verbs.replay_run, {"from": "bronze"}, run_id=refused.run_id)
    assert (reply.status, "from raw" in reply.body["detail"]) == (409, True)
    done = harness.take("landing/users/gone.csv", good(11))
    assert done.raw is not None
    harness.storage_account.lake.delete(done.raw)
    reply = harness.post(api_verbs.replay_run, run_id=done.run_id)
    assert (reply.status, "no longer exists" in reply.body["detail"]) == (409, True)
    harness.factory.holding = True
    under_way = harness.take("landing/users/now.csv", good(12))
    reply = harness.post(api_verbs.replay_run, run_id=under_way.run_id)
    assert (reply.status, "copying" in reply.body["detail"]) == (409, True)
    harness.post(api_verbs.cancel_run, run_id=under_way.run_id)


def test_many_runs_are_replayed_by_a_query(harness: ServiceHarness) -> None:
    """Dataset, state and landing time choose; a dry run only tells; a worker's death is made up."""
    runs = [harness.take(f"landing/users/many-{n}.csv", good(20 + n)) for n in range(3)]
    first = min(run.source.landed for run in runs)
    query = {"dataset": "users", "landed_from": first.isoformat(), "from": "bronze"}
    dry = harness.post(api_verbs.start_replay, {**query, "dry_run": True})
    assert dry.status == 200
    mine = {run.run_id for run in runs}
    assert mine <= set(dry.body["runs"])
    late = {**query, "landed_from": (first + timedelta(days=2)).isoformat(), "dry_run": True}
    assert harness.post(api_verbs.start_replay, late).body["total"] == 0
    before = {run: harness.workspace.loads_of(run) for run in mine}
    reply = harness.post(api_verbs.start_replay, query, key="k-many")
    assert (reply.status, reply.body["total"]) == (202, dry.body["total"])
    again = harness.post(api_verbs.start_replay, query, key="k-many")
    assert again.body == reply.body
    # The message is lost and the first worker dies: the tick takes it up with another.
    harness.service = harness.worker()
    assert Replay(reply.body["replay_id"]) in harness.service.reconcile()
    harness.drive(harness.service.reconcile())
    shown = harness.post(api_verbs.get_replay, replay_id=reply.body["replay_id"])
    assert (shown.body["done"], shown.body["refused"]) == (True, {})
    assert {run: harness.workspace.loads_of(run) - before[run] for run in mine} == dict.fromkeys(
        mine, 1
    )
    assert Replay(reply.body["replay_id"]) not in harness.service.reconcile()


def test_a_step_of_a_replay_done_twice_reopens_nothing_twice(harness: ServiceHarness) -> None:
    """A worker reopens runs and dies before it notes so: the next finds them reopened."""
    run = harness.take("landing/users/twice.csv", good(30))
    body = {"dataset": "users", "landed_from": run.source.landed.isoformat()}
    plan = harness.post(api_verbs.start_replay, body, key="k-twice").body["replay_id"]
    document = paths.replay_document(plan)
    kept, _ = harness.storage_account.lake.get(document)
    reopened, _ = harness.service.replays.step(plan)
    assert run.run_id in {one.run_id for one in reopened}
    harness.drive(harness.service.reconcile())
    harness.storage_account.lake.put(document, kept)
    harness.drive([Replay(plan)])
    events = [line.event for line in harness.run(run.run_id).history]
    assert events.count("replay_raw") == 1
    assert harness.run(run.run_id).state is State.SUCCEEDED


def test_a_step_of_a_replay_that_is_stopped_notes_how_far_it_came(
    harness: ServiceHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With hundreds of runs some request fails in every step: the next begins where it stood."""
    runs = [harness.take(f"landing/users/stop-{n}.csv", good(900 + n)) for n in range(4)]
    first = min(run.source.landed for run in runs)
    body = {"dataset": "users", "landed_from": first.isoformat()}
    replay_id = harness.post(api_verbs.start_replay, body, key="k-stop").body["replay_id"]
    replays = harness.service.replays
    asked: list[str] = []
    real = Operators.replay

    def replay(
        self: Operators, run_id: str, origin: ReplayOrigin, operator_request: OperatorRequest
    ) -> Run:
        asked.append(run_id)
        if len(asked) == 3:
            raise Throttled("429")
        return real(self, run_id, origin, operator_request)

    monkeypatch.setattr(Operators, "replay", replay)
    reopened, more = replays.step(replay_id)
    assert (len(reopened), more, replays.get(replay_id).next) == (2, True, 2)
    while replays.step(replay_id)[1]:
        pass
    plan = replays.get(replay_id)
    assert plan.done
    assert asked == [*plan.runs[:3], *plan.runs[2:]]


# -- resend ---------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["post", "upload"])
def test_mended_rejects_are_linked_to_their_run(harness: ServiceHarness, way: str) -> None:
    """Sent or uploaded to the run's folder: both runs say so; silver's order is the first's."""
    seed = 40 if way == "post" else 45
    parent = harness.take(f"landing/users/{way}.csv", mixed(seed))
    assert parent.state is State.SUCCEEDED
    mended = users([seed * 100 + 99]).encode()
    harness.clock.turn(hours=1)
    if way == "post":
        reply = harness.post(
            api_verbs.resend_rejects,
            mended,
            query={"name": "corrected.csv"},
            run_id=parent.run_id,
        )
        assert reply.status == 202, reply.body
        harness.drive(list(reply.messages))
        child = harness.run(reply.body["run_id"])
    else:
        folder = paths.resend_folder("users", parent.run_id)
        child = harness.take(f"{folder}/corrected.csv", mended)
    assert child.state is State.SUCCEEDED
    assert child.name == "corrected.csv"
    assert child.resend is not None
    assert child.resend.of == parent.run_id
    shown = harness.post(api.get_run, run_id=parent.run_id)
    assert shown.body["resends"] == [child.run_id]
    assert harness.post(api.get_run, run_id=child.run_id).body["resend_of"] == parent.run_id
    drop = next(
        drop
        for document in harness.workspace.documents
        for drop in document["drops"]
        if drop["run_id"] == child.run_id
    )
    assert drop["landed_at"] == parent.source.landed.isoformat()


def test_a_resend_is_refused_where_nothing_is_to_be_mended(harness: ServiceHarness) -> None:
    """A clean run, an empty body, a name with a folder in it, a form: each says what is wrong."""
    clean = harness.take("landing/users/clean.csv", good(50))
    dirty = harness.take("landing/users/dirty.csv", mixed(51))

    def post(run: str, name: str, body: bytes = b"x") -> int:
        return harness.post(api_verbs.resend_rejects, body, query={"name": name}, run_id=run).status

    assert post(clean.run_id, "a.csv") == 409
    assert post(dirty.run_id, "a.csv", b"") == 422
    assert post(dirty.run_id, "../a.csv") == 422
    assert post(dirty.run_id, "") == 422
    assert harness.post(api_verbs.resend_rejects, {}, run_id=dirty.run_id).status in (409, 422)


def test_a_folder_of_no_run_is_an_ordinary_drop(harness: ServiceHarness) -> None:
    """A resend folder that names no run, or one of another dataset, links nothing."""
    path = f"{paths.resend_folder('users', '20260101T000000Z-users-00000000')}/x.csv"
    run = harness.take(path, good(52))
    assert run.state is State.SUCCEEDED
    assert run.resend is None


# -- idempotency ----------------------------------------------------------------------------


def test_one_key_is_one_request(harness: ServiceHarness) -> None:
    """The same request gets the first answer, another one under the same key 422."""
    run = harness.take("landing/users/key.csv", good(60))
    body = {"from": "bronze"}
    first = harness.post(api_verbs.replay_run, body, key='"k-1"', run_id=run.run_id)
    harness.drive(list(first.messages))
    again = harness.post(api_verbs.replay_run, body, key="k-1", run_id=run.run_id)
    assert (again.status, again.body, again.messages) == (202, first.body, first.messages)
    harness.drive(list(again.messages))
    assert harness.workspace.loads_of(run.run_id) == 2
    other = harness.post(api_verbs.replay_run, {"from": "raw"}, key="k-1", run_id=run.run_id)
    assert other.status == 422
    assert harness.post(api_verbs.retry_run, key="k-1", run_id=run.run_id).status == 422
    for key in ("x" * 300, "käse", "a\tb"):
        assert harness.post(api_verbs.retry_run, key=key, run_id=run.run_id).status == 400


def test_an_error_leaves_its_key_free(harness: ServiceHarness) -> None:
    """What was refused or not answered may be asked again under the same key."""
    run = harness.take("landing/users/free.csv", good(61))
    for _ in range(2):
        reply = harness.post(api_verbs.retry_run, key="k-free", run_id=run.run_id)
        assert (reply.status, "replay" in reply.body["detail"]) == (409, True)
    reply = harness.post(api_verbs.replay_run, key="k-free", run_id=run.run_id)
    assert reply.status == 202
    harness.drive(list(reply.messages))


@pytest.mark.parametrize("death", ["before", "after"])
def test_a_worker_that_dies_at_a_request_is_taken_over(harness: ServiceHarness, death: str) -> None:
    """While it may be alive the key is 409; then the request is done, and not a second time."""
    run = harness.take(f"landing/users/dies-{death}.csv", good(62 if death == "after" else 63))

    def ask() -> object:
        return harness.post(api_verbs.replay_run, key=f"k-{death}", run_id=run.run_id)

    class Dead(BaseException):
        pass

    def dying() -> Landfall:
        worker = harness.worker()
        real = worker.lake.put

        def put(path: str, *given: object, **named: object) -> str:
            if named.get("if_match") and (
                path.startswith("manifest/requests/") if death == "after" else "active" in path
            ):
                raise Dead
            return real(path, *given, **named)  # type: ignore[arg-type]

        worker.lake.put = put  # type: ignore[method-assign]
        return worker

    real_put = harness.storage_account.lake.put
    try:
        with pytest.raises(Dead):
            harness.post(api_verbs.replay_run, key=f"k-{death}", service=dying, run_id=run.run_id)
    finally:
        harness.storage_account.lake.put = real_put
    harness.service = harness.worker()
    assert harness.post(api_verbs.replay_run, key=f"k-{death}", run_id=run.run_id).status == 409
    harness.drive(harness.service.reconcile())
    harness.clock.turn(seconds=SETTLE)
    reply = harness.post(api_verbs.replay_run, key=f"k-{death}", run_id=run.run_id)
    assert reply.status == 202
    harness.drive(list(reply.messages))
    done = harness.run(run.run_id)
    assert done.state is State.SUCCEEDED
    assert [line.event for line in done.history].count("replay_raw") == 1


def test_a_resend_sent_twice_is_one_run(harness: ServiceHarness) -> None:
    """With a key the answer is kept; where it was lost, the run is found by its path."""
    parent = harness.take("landing/users/resent.csv", mixed(70))
    mended = users([7099]).encode()

    def send() -> web.ApiResponse:
        return harness.post(
            api_verbs.resend_rejects,
            mended,
            query={"name": "m.csv"},
            key="k-resend",
            run_id=parent.run_id,
        )

    first = send()
    harness.drive(list(first.messages))
    again = send()
    assert again.body["run_id"] == first.body["run_id"]
    for entry in list(harness.storage_account.lake.list("manifest/requests/")):
        harness.storage_account.lake.delete(
            entry.version.path
        )  # as if the answer had never been kept
    third = send()
    assert third.body["run_id"] == first.body["run_id"]
    assert harness.service.operators.resends(parent.run_id) == [first.body["run_id"]]
