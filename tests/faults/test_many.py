"""Many instances: the short forms of `make test-many`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.many import SIZES, trial
from tests.faults.mutations import MUTATIONS, REPOSITORY, Mutation
from tests.faults.pauses import STAGES, row


@pytest.mark.parametrize("instances", [2, 20])
@pytest.mark.parametrize("size", SIZES)
def test_only_the_poisoned_drop_fails(tmp_path: Path, instances: int, size: int) -> None:
    """However many instances look at a batch in turns, the good drops succeed by their own load."""
    found = [trial(tmp_path, instances, size, seed) for seed in range(5)]
    assert [each for each in found if not each.good] == []


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_a_worker_that_stood_still_does_no_harm(stage: str) -> None:
    """Before whichever call it stops, and whatever others did meanwhile."""
    told = row(stage)
    assert told.wrong == []
    assert told.stories > 2


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mutation_is_of_the_code_as_it_is(mutation: Mutation) -> None:
    """The text that it changes is in its file once; `tests.faults.mutations` says what sees it."""
    text = (REPOSITORY / mutation.file).read_text(encoding="utf-8")
    assert text.count(mutation.before) == 1
    assert mutation.before != mutation.after
