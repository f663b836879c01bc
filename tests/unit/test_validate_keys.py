"""Which keys came before, in a set and in sorted runs alike."""

from collections.abc import Hashable

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landfall.validation.keys import Seen

WHOLE = st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3)
ANY = st.text("ab", max_size=2)


def by_hand(batches: list[list[Hashable]]) -> list[list[int]]:
    """The rule in its plainest form."""
    seen: set[Hashable] = set()
    answers = []
    for batch in batches:
        again = []
        for position, key in enumerate(batch):
            if key is None:
                continue
            if key in seen:
                again.append(position)
            seen.add(key)
        answers.append(again)
    return answers


@pytest.mark.parametrize("small", [0, 5, 1000])
@settings(max_examples=60, deadline=None)
@given(batches=st.lists(st.lists(WHOLE | st.none(), max_size=12), max_size=8))
def test_whole_numbers(small: int, batches: list[list[Hashable]]) -> None:
    """The first of a key stands, each later one is found, whatever holds the keys."""
    seen = Seen(whole_numbers=True, small=small)

    assert by_hand(batches) == [seen.repeated(batch) for batch in batches]


@pytest.mark.parametrize("small", [0, 5, 1000])
@settings(max_examples=60, deadline=None)
@given(batches=st.lists(st.lists(ANY | st.none(), max_size=12), max_size=8))
def test_any_other_keys(small: int, batches: list[list[Hashable]]) -> None:
    """Texts likewise."""
    seen = Seen(whole_numbers=False, small=small)

    assert by_hand(batches) == [seen.repeated(batch) for batch in batches]


@pytest.mark.parametrize("small", [0, 5, 1000])
@settings(max_examples=60, deadline=None)
@given(batches=st.lists(st.lists(WHOLE, max_size=12), max_size=8))
def test_columns_at_once(small: int, batches: list[list[Hashable]]) -> None:
    """Columns as well as lists, in turn."""
    seen = Seen(whole_numbers=True, small=small)
    answers = []
    for number, batch in enumerate(batches):
        column = pl.Series(batch, dtype=pl.Int64)
        answers.append(seen.repeated(batch) if number % 2 else seen.repeated_in(column))

    assert by_hand(batches) == answers
