"""Duplicate keys are found in a set and in sorted runs."""

from collections.abc import Hashable

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landfall.validation.keys import Seen

WHOLE = st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3)
ANY = st.text("ab", max_size=2)


def expected_duplicates(batches: list[list[Hashable]]) -> list[list[int]]:
    """Return duplicates by a simple reference implementation."""
    seen: set[Hashable] = set()
    answers = []
    for batch in batches:
        duplicates = []
        for position, key in enumerate(batch):
            if key is None:
                continue
            if key in seen:
                duplicates.append(position)
            seen.add(key)
        answers.append(duplicates)
    return answers


@pytest.mark.parametrize("small", [0, 5, 1000])
@settings(max_examples=60, deadline=None)
@given(batches=st.lists(st.lists(WHOLE | st.none(), max_size=12), max_size=8))
def test_whole_numbers(small: int, batches: list[list[Hashable]]) -> None:
    """Each key but the first is a duplicate, with any storage of keys."""
    seen = Seen(whole_numbers=True, small=small)

    assert expected_duplicates(batches) == [seen.repeated(batch) for batch in batches]


@pytest.mark.parametrize("small", [0, 5, 1000])
@settings(max_examples=60, deadline=None)
@given(batches=st.lists(st.lists(ANY | st.none(), max_size=12), max_size=8))
def test_any_other_keys(small: int, batches: list[list[Hashable]]) -> None:
    """The same for text keys."""
    seen = Seen(whole_numbers=False, small=small)

    assert expected_duplicates(batches) == [seen.repeated(batch) for batch in batches]


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

    assert expected_duplicates(batches) == answers
