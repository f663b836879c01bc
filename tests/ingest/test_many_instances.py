"""Several instances, each with a memory of its own: none of them decides by what it remembers.

Each test is a story that once ended badly: a worker that stood still, or that had seen a document
as it was before, ended a run, granted a copy, passed over a message or deleted what it should not.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from ingest import paths
from ingest.errors import LandfallError
from ingest.operations.operators import OperatorRequest
from ingest.runs.messages import Advance, LoadDataset
from landfall.protocol import State
from tests.ingest.conftest import Clock
from tests.ingest.controlled_workers import ControlledWorker
from tests.ingest.instances import Instances, stopped
from tests.ingest.references import REFERS, silver


@pytest.fixture
def many(tmp_path: Path) -> Instances:
    """A lake on which nothing has happened yet."""
    return Instances(tmp_path)


def test_a_good_drop_does_not_fail_for_a_batch_that_it_was_in_before(many: Instances) -> None:
    """An instance that saw a poisoned batch run ends nobody who was put back out of it since."""
    other, late = many.process(), many.process()
    poisoned, good = many.copied(other, "x1.csv", "x2.csv")
    many.jobs.poison = {poisoned}
    many.load(other)
    many.jobs.end()
    many.load(other)
    many.clock.turn(seconds=31)
    many.load(other)
    many.load(late)  # the second attempt runs: this is what it has seen of the batch
    for _ in range(20):
        if many.run(good).history[-2].event == "put_back":
            break
        many.jobs.end()
        many.clock.turn(seconds=31)
        many.load(other)
    for _ in range(3):
        many.load(late)
    assert many.state(good) == [State.LOADING]
    many.settle(other)
    assert many.state(poisoned, good) == [State.FAILED, State.SUCCEEDED]
    assert many.own_load(many.run(good))


def test_a_replay_is_not_ended_by_the_job_of_last_time(many: Instances) -> None:
    """An instance that saw the batch of the first time ends nothing of the second."""
    other, late = many.process(), many.process()
    (name,) = many.copied(other, "x.csv")
    many.load(other)
    many.load(late)  # it runs
    many.jobs.end()
    many.load(other)
    assert many.state(name) == [State.SUCCEEDED]
    many.clock.turn(hours=5)
    many.replay(other, name)
    many.load(other)
    assert many.state(name) == [State.LOADING]
    many.load(late)
    assert many.state(name) == [State.LOADING]
    many.jobs.poison = {name}
    many.settle(late)
    assert many.state(name) == [State.FAILED]


def test_a_success_was_loaded_whoever_stood_still(many: Instances) -> None:
    """Two form a batch in the same second; one stands still while the other halves its own.

    It stands still before each of its calls in turn.
    """

    def story(many: Instances, pause: int) -> bool:
        late, other = many.process(), many.process()
        poisoned, good = many.copied(other, "x1.csv", "x2.csv")
        many.jobs.poison = {poisoned}
        worker = ControlledWorker(lambda: late.handle(LoadDataset("things")))
        worker.steps(pause)
        over = worker.over
        many.load(other)
        many.settle(other)
        worker.finish()
        many.settle(late)
        many.settle(other)
        assert many.state(poisoned, good) == [State.FAILED, State.SUCCEEDED], pause
        assert many.own_load(many.run(good)), pause
        assert "poisoned" in many.run(poisoned).cause, pause
        return over

    assert many.each_pause(story) > 5


def test_two_batches_of_the_same_drops_have_two_ids(many: Instances) -> None:
    """What is formed in the same second of the same drops is told apart, and so are its jobs."""
    one, two = many.process(), many.process()
    (name,) = many.copied(one, "x.csv")
    many.load(one)
    many.jobs.poison = {name}
    many.jobs.end()
    many.settle(one)
    many.jobs.poison = set()
    now = many.clock.now
    many.clock.now = next(line.at for line in many.run(name).history if line.event == "start_load")
    two.operators.retry(name, OperatorRequest("mended"))
    many.run_on(two, [name], load=False)
    many.load(two)
    many.clock.now = now
    many.settle(two)
    assert many.state(name) == [State.SUCCEEDED]
    assert many.own_load(many.run(name))


def test_a_batch_is_closed_only_as_it_was_read(many: Instances) -> None:
    """A worker that stood still before it closed a batch leaves the next batch where it is."""
    late, other = many.process(), many.process()
    many.copied(other, "x.csv")
    many.load(late)
    many.jobs.end()
    # The first rename files the run, the second closes the batch.
    worker = stopped(lambda: late.handle(LoadDataset("things")), "lake.rename", 2)
    (following,) = many.copied(other, "y.csv")
    many.clock.turn(minutes=2)
    many.load(other)  # closes the batch, whose only member has ended
    assert paths.current_batch("things") not in many.lake.files
    many.load(other)
    before = many.lake.get(paths.current_batch("things"))
    worker.finish()
    assert many.lake.get(paths.current_batch("things")) == before
    many.settle(other)
    assert many.state(following) == [State.SUCCEEDED]


def test_a_crash_while_a_batch_is_formed_leaves_nobody_behind(many: Instances) -> None:
    """Whatever was written of a batch when its worker died, the next worker goes on with it."""

    def story(many: Instances, pause: int) -> bool:
        dead, other = many.process(), many.process()
        names = many.copied(other, "x.csv", "y.csv")
        worker = ControlledWorker(lambda: dead.handle(LoadDataset("things")))
        worker.steps(pause)
        over = worker.over
        worker.kill()
        many.settle(other)
        assert many.state(*names) == [State.SUCCEEDED] * 2, pause
        assert all(many.own_load(many.run(name)) for name in names), pause
        loads = [name for job in many.jobs.tokens.values() for name in job.loaded]
        assert sorted(loads) == sorted(names), pause
        return over

    assert many.each_pause(story) > 5


def test_a_worker_that_ends_a_batch_late_ends_nobody_of_the_next(many: Instances) -> None:
    """It stood still before it ended the members; they were ended, replayed and load again."""

    def story(many: Instances, pause: int) -> bool:
        late, other = many.process(), many.process()
        (name,) = many.copied(other, "x.csv")
        many.load(other)
        many.jobs.end()
        worker = ControlledWorker(lambda: late.handle(LoadDataset("things")))
        worker.steps(pause)
        over = worker.over
        many.load(other)
        many.settle(other)
        assert many.state(name) == [State.SUCCEEDED]
        many.clock.turn(hours=1)
        many.replay(other, name)
        many.load(other)
        many.load(other)
        assert many.state(name) == [State.LOADING], pause
        worker.finish()
        assert many.state(name) == [State.LOADING], pause
        many.settle(other)
        assert many.own_load(many.run(name)), pause
        return over

    assert many.each_pause(story) > 5


def test_the_last_member_is_not_blamed_for_one_that_is_out_of_reach(many: Instances) -> None:
    """The document of the poisoned drop is damaged: the other is tried alone before it may fail."""
    one = many.process()
    poisoned, good = many.copied(one, "x1.csv", "x2.csv")
    many.jobs.poison = {poisoned}
    many.load(one)
    many.lake.put(paths.active_document(poisoned), b"{", metadata={"summary": "?"})
    for _ in range(10):
        many.jobs.end()
        many.load(one)
        many.clock.turn(seconds=61)
    assert many.state(good) == [State.SUCCEEDED]
    assert many.own_load(many.run(good))


def test_a_run_that_is_taken_up_again_is_seen_by_all(many: Instances) -> None:
    """An instance that once read a filed document goes on with its run when it is replayed."""
    queue, http = many.process(), many.process()
    (name,) = many.copied(http, "x.csv")
    many.settle(http)
    assert many.state(name) == [State.SUCCEEDED]
    content = many.lake.files[many.run(name).raw or ""].data
    double = many.land("landing/things/again.csv", content)
    many.run_on(queue, messages=queue.on_landing("landing/things/again.csv"))
    assert many.state(double) == [State.DUPLICATE]
    many.replay(http, name, "raw")
    queue.handle(Advance(name))
    assert many.state(name) != [State.CLAIMED]
    many.settle(queue)
    assert many.state(name) == [State.SUCCEEDED]


def test_no_message_is_passed_over_for_what_is_remembered(many: Instances) -> None:
    """A copy that an instance remembers still runs; the run has been cancelled and replayed."""
    queue, http = many.process(), many.process()
    name = many.land("landing/things/x.csv", b"id\n1\n")
    for message in queue.on_landing("landing/things/x.csv"):
        queue.handle(message)
    (zombie,) = many.factory.pipelines.values()
    many.factory.move(zombie, lambda *names: queue.fence(*names).granted, "Succeeded")
    http.operators.cancel(name, OperatorRequest("no"))
    zombie.status = "InProgress"  # Data Factory did not stop it
    many.replay(http, name, "raw")
    assert many.state(name) == [State.CLAIMED]
    queue.handle(Advance(name))
    assert many.state(name) == [State.COPYING]
    assert many.run(name).copy.number == 2  # type: ignore[union-attr]


def test_what_has_ended_is_not_remembered(many: Instances) -> None:
    """Nothing is written to a filed document but by who takes it up again, on a fresh read."""
    one = many.process()
    (name,) = many.copied(one, "x.csv")
    assert one.manifest.remembered(name) is not None
    many.settle(one)
    assert one.manifest.remembered(name) is None
    assert one.manifest.get(name).run.final
    assert one.manifest.remembered(name) is None


def test_the_fence_does_not_grant_from_memory(many: Instances) -> None:
    """A pipeline run that asks again is refused when its run was cancelled through another."""
    one, two = many.process(), many.process()
    name = many.land("landing/things/x.csv", b"id\n1\n")
    for message in one.on_landing("landing/things/x.csv"):
        one.handle(message)
    attempt = str(next(iter(many.factory.pipelines.values())).parameters["attemptId"])
    assert one.fence(name, attempt, "adf-1").granted
    two.operators.cancel(name, OperatorRequest("no"))
    assert not one.fence(name, attempt, "adf-1").granted


def test_a_retry_and_a_second_delivery_do_not_both_go_on(many: Instances) -> None:
    """Whichever call of the retry the second delivery comes before, one of them is accepted."""

    def story(many: Instances, pause: int) -> bool:
        one, two = many.process(), many.process()
        (first,) = many.copied(one, "x.csv")
        many.jobs.poison = {first}
        many.settle(one)
        assert many.state(first) == [State.FAILED]
        many.jobs.poison = set()
        content = many.lake.files[many.run(first).raw or ""].data
        retry = ControlledWorker(lambda: one.operators.retry(first, OperatorRequest("mended")))
        retry.steps(pause)
        over = retry.over
        second = many.land("landing/things/again.csv", content)
        for message in two.on_landing("landing/things/again.csv"):
            two.handle(message)
        retry.finish()
        assert isinstance(retry.error, LandfallError | None), retry.error
        many.settle(many.process())
        ended = many.state(first, second)
        assert sorted(ended) in (
            [State.FAILED, State.SUCCEEDED],
            [State.DUPLICATE, State.SUCCEEDED],
        )
        return over

    assert many.each_pause(story) > 5


def test_a_retry_looks_whether_the_content_was_accepted_meanwhile(many: Instances) -> None:
    """The content of a run that failed was delivered again and accepted: the retry is refused."""
    one = many.process()
    (first,) = many.copied(one, "x.csv")
    many.jobs.poison = {first}
    many.settle(one)
    many.jobs.poison = set()
    content = many.lake.files[many.run(first).raw or ""].data
    second = many.land("landing/things/again.csv", content)
    many.run_on(one, messages=one.on_landing("landing/things/again.csv"))
    many.settle(one)
    assert many.state(second) == [State.SUCCEEDED]
    with pytest.raises(LandfallError, match=second):
        one.operators.retry(first, OperatorRequest("mended"))
    assert many.state(first) == [State.FAILED]


def test_the_same_content_is_a_duplicate(many: Instances) -> None:
    """One run accepts a content, whichever instances validate the deliveries."""
    one, two = many.process(), many.process()
    first = many.land("landing/things/x.csv", b"id\n1\n")
    second = many.land("landing/things/y.csv", b"id\n1\n")
    one.handle(one.on_landing("landing/things/x.csv")[0])
    two.handle(two.on_landing("landing/things/y.csv")[0])
    assert many.state(first, second) == [State.COPYING, State.DUPLICATE]


def test_the_ghost_of_a_filed_run_is_dropped(many: Instances) -> None:
    """A worker that stood still writes the record of a run anew that has ended: nothing is left."""
    late, other = many.process(), many.process()
    name = many.land("landing/things/x.csv", b"id\n1\n")
    worker = stopped(lambda: late.on_landing("landing/things/x.csv"), "lake.put")
    many.run_on(other, messages=other.on_landing("landing/things/x.csv"))
    many.settle(other)
    assert many.state(name) == [State.SUCCEEDED]
    before = many.run(name)
    worker.finish()
    many.settle(late)
    assert many.run(name) == before
    assert not many.active()


@pytest.mark.parametrize("days", [1, -1])
def test_a_clock_that_is_a_day_off_delays_nobody(many: Instances, days: int) -> None:
    """What an instance postpones whose clock is wrong, others take up in minutes."""
    many.deploy("others")
    many.deploy("things", more=REFERS)
    silver(many.lake, "others", [1])
    wrong = Clock(many.clock.now + timedelta(days=days))
    odd, sound = many.process(clock=wrong), many.process()
    name = many.land("landing/things/x.csv", b"id,to\n1,7\n2,1\n")
    (message,) = odd.on_landing("landing/things/x.csv")
    odd.handle(message)
    assert many.state(name) == [State.VALIDATING]
    began = many.clock.now
    many.settle(sound)
    run = many.run(name)
    assert run.state is State.SUCCEEDED
    assert timedelta(minutes=3) < many.clock.now - began < timedelta(minutes=20)
    assert sum(line.event == "postpone" for line in run.history) < 10


@pytest.mark.parametrize("days", [1, -1])
def test_a_clock_that_is_a_day_off_fails_nobody(many: Instances, days: int) -> None:
    """A lease of a sound worker is no sign of its death to an instance whose clock is wrong."""
    wrong = Clock(many.clock.now + timedelta(days=days))
    odd, sound = many.process(clock=wrong), many.process()
    name = many.land("landing/things/x.csv", b"id\n1\n")
    (message,) = sound.on_landing("landing/things/x.csv")
    worker = ControlledWorker(lambda: sound.handle(message, 2))  # which writes its lease first
    while many.run(name).lease is None:
        worker.step()
    for _ in range(6):
        many.hand(odd, Advance(name))
    worker.finish()
    many.settle(sound)
    run = many.run(name)
    assert (run.state, run.faults) == (State.SUCCEEDED, {})


def test_a_pipeline_run_of_a_cancelled_attempt_writes_into_nobodys_bronze(many: Instances) -> None:
    """What an attempt of before copies late does not come into the folder of the replay."""
    one = many.process()
    name = many.land("landing/things/x.csv", b"id\n1\n")
    for message in one.on_landing("landing/things/x.csv"):
        one.handle(message)
    zombie = next(iter(many.factory.pipelines.values()))
    many.factory.move(zombie, lambda *names: one.fence(*names).granted, "Succeeded")
    one.operators.cancel(name, OperatorRequest("stop"))
    zombie.status = "InProgress"  # Data Factory did not stop it
    many.replay(one, name, "raw")
    one.handle(Advance(name))
    many.run_on(one, load=False)
    bronze = f"{many.run(name).bronze}/data.parquet"
    before = many.lake.files[bronze]
    many.factory.move(zombie, lambda *_: True, "Succeeded")
    assert many.lake.files[bronze] == before
    many.settle(one)
    assert many.state(name) == [State.SUCCEEDED]
