"""Profiles of columns are the same with every prefilter."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landfall.contract.folder import parse
from landfall.validation.profile import Distinct, hashes
from tests.unit.prefilters import PREFILTERS, use_prefilter
from tests.unit.validation import run_validation, small

CONTRACT = parse(
    """
apiVersion: v3.2.0
kind: DataContract
id: t
version: 1.0.0
schema:
  - name: t
    properties:
      - {name: n, logicalType: integer, required: true, logicalTypeOptions: {minimum: -5}}
      - {name: x, logicalType: number}
      - {name: s, logicalType: string}
      - {name: d, logicalType: date}
      - {name: last, logicalType: integer, required: true}
customProperties:
  - {property: maxRejectedRatio, value: 1}
""",
    file="t",
)
LINE = st.tuples(
    st.sampled_from(["1", "7", "-9", "x", "", "40"]),
    st.sampled_from(["", "1.5", "-2", "z"]),
    st.sampled_from(["", "a", "b c"]),
    st.sampled_from(["", "2024-02-29", "2023-02-29"]),
    st.sampled_from(["1", "2", "2,3", ""]),
).map(",".join)


@settings(max_examples=150, deadline=None)
@given(st.lists(LINE, min_size=1, max_size=30))
def test_same_profile_with_every_prefilter(lines: list[str]) -> None:
    """A profile is that of the well-formed records, with any prefilter."""
    data = ("n,x,s,d,last\n" + "\n".join(lines) + "\n").encode()
    profiles = []
    for prefilter in PREFILTERS:
        with pytest.MonkeyPatch.context() as patch:
            use_prefilter(prefilter, patch)
            profiles.append(run_validation(data, CONTRACT)[0].profile)

    assert profiles[0] == profiles[1] == profiles[2]


def test_values_of_masked_columns_are_not_shown() -> None:
    """The profile of a masked column has only counts."""
    report, _ = run_validation(b"id,name,secret\n1,a,s\n2,b,\n", small())

    secret = report.profile[2]

    assert (secret.count, secret.nulls, secret.distinct, secret.masked) == (1, 1, 1, True)
    assert (secret.least, secret.top, secret.quantiles) == (None, (), {})


def test_quantiles_of_a_known_distribution() -> None:
    """The sample is even, so the median of 0 to 9,999 is about the middle."""
    order = list(range(10_000))
    random.Random(1).shuffle(order)  # noqa: S311 - test data
    data = b"id,name,secret\n" + b"".join(b"%d,a,s\n" % n for n in order)

    profile = run_validation(data, small())[0].profile[0]

    assert (profile.least, profile.most) == (0, 9999)
    assert profile.distinct == pytest.approx(10_000, rel=0.03)
    assert profile.quantiles["50"] == pytest.approx(5000, abs=300)
    assert profile.quantiles["95"] == pytest.approx(9500, abs=300)
    assert max(profile.histogram) < 2 * min(profile.histogram)


@pytest.mark.parametrize("values", [10, 5000, 100_000, 600_000])
@pytest.mark.parametrize("text", [False, True])
def test_distinct_values_are_estimated_well(values: int, text: bool) -> None:
    """Exactly while they are few, within 3 % else; repeats change nothing."""
    distinct = Distinct()
    for start in range(0, values, 50_000):
        block = [str(n) if text else n for n in range(start, min(values, start + 50_000))]
        for _ in range(2):
            distinct.add_hashes(hashes(block)) if start else distinct.add(block)

    assert distinct.count() == pytest.approx(values, rel=0.03)
    assert distinct.exact == (values <= 4096)
