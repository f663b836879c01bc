"""The generated marketplace: repeatable, shaped like the real one, consistent with itself."""

import csv
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from marketplace.__main__ import main
from marketplace.generator import COLUMNS, Aggregates, break_records, generate_users, write_users
from marketplace.generator.breakers import DAMAGES
from marketplace.generator.users import NEVER, SENTINEL_EVERY, User, identifier
from tests.realdata import C2C

ROWS = 30_000


@pytest.fixture(scope="module")
def users() -> list[User]:
    """One sample for all questions of shape."""
    return list(generate_users(ROWS, 1))


def test_same_seed_same_users() -> None:
    """The seed decides everything."""
    assert list(generate_users(1500, 3)) == list(generate_users(1500, 3))
    assert list(generate_users(50, 3)) != list(generate_users(50, 4))


@pytest.mark.parametrize("offset", [0, 1, 999, 1000, 1001, 1750])
def test_offset_is_a_slice(offset: int) -> None:
    """Parts written apart are the whole."""
    whole = list(islice(generate_users(2000, 9), offset, None))

    assert whole == list(generate_users(2000 - offset, 9, offset=offset))


def test_identifiers_are_distinct_signed_64_bit(users: list[User]) -> None:
    """No key twice, and both signs appear."""
    ids = [user.identifierHash for user in users]

    assert len(set(ids)) == ROWS
    assert min(ids) < 0 < max(ids)
    assert all(-(2**63) <= number < 2**63 for number in ids)
    assert users[7].identifierHash == identifier(7, 1)


def test_shape_follows_the_real_table(users: list[User]) -> None:
    """Most are inactive, most have the default followers, women are three in four."""
    inactive = sum(
        not (u.socialProductsLiked or u.productsListed or u.productsSold)
        and not (u.productsWished or u.productsBought)
        for u in users
    )
    default = sum(u.socialNbFollowers == 3 and u.socialNbFollows == 8 for u in users)
    women = sum(u.gender == "F" for u in users)

    assert pytest.approx(inactive / ROWS, abs=0.01) == 0.78
    assert pytest.approx(default / ROWS, abs=0.02) == 0.84
    assert pytest.approx(women / ROWS, abs=0.01) == 0.77
    assert max(u.socialProductsLiked for u in users) > 1000


def test_oddities_have_known_counts(users: list[User]) -> None:
    """The sentinel and the odd countries stand where their period says."""
    sentinels = [index for index, user in enumerate(users) if user.daysSinceLastLogin == NEVER]
    codes = Counter((user.country, user.countryCode) for user in users)

    assert [10 + SENTINEL_EVERY * n for n in range(len(sentinels))] == sentinels
    assert len(sentinels) == 4
    assert codes["Îles Turques-et-Caïques ", "tc"] == 1
    assert codes["Guyane", "gy"] == 5
    assert codes["Guyana", "gy"] == 1
    assert codes["Namibie", "na"] == 1


def test_derived_columns_agree(users: list[User]) -> None:
    """An app is Android or iOS; months are days by 30; the title follows the gender."""
    for user in users[:5000]:
        assert user.hasAnyApp == (user.hasAndroidApp or user.hasIosApp)
        assert user.seniorityAsMonths == pytest.approx(user.seniority / 30, abs=0.0051)
        assert user.seniorityAsYears == pytest.approx(user.seniority / 360, abs=0.0051)
        assert (user.gender == "M") == (user.civilityTitle == "mr") == (user.civilityGenderId == 1)


def _real_users() -> list[User]:
    assert C2C is not None
    users: list[User] = []
    for part in sorted(C2C.glob("users-*.csv")):
        with part.open(encoding="utf-8", newline="") as file:
            users.extend(_user(row) for row in csv.DictReader(file))
    return users


def _user(row: dict[str, str]) -> User:
    return User._make(_typed(User.__annotations__[name], row[name]) for name in COLUMNS)


def _typed(kind: type, text: str) -> object:
    return text == "True" if kind is bool else kind(text)


@pytest.mark.skipif(C2C is None, reason="the published tables are not here")
def test_aggregates_recompute_the_published_tables() -> None:
    """Every cell of the author's three tables follows from the users by our definitions."""
    assert C2C is not None
    aggregates = Aggregates()
    for user in _real_users():
        aggregates.add(user)
    tables = {
        "Buyers-repartition-by-country.csv": aggregates.buyers_by_country(),
        "Countries-with-Top-Sellers-(Fashion-C2C).csv": aggregates.top_seller_countries(),
        "Comparison-of-Sellers-by-Gender-and-Country.csv": aggregates.sellers_compared(),
    }
    cells = 0
    for name, computed in tables.items():
        with (C2C / name).open(encoding="utf-8", newline="") as file:
            published = list(csv.reader(file))
        rows = list(computed)
        assert published[0] == rows[0]
        keys = 2 if name.startswith("Comparison") else 1
        by_key = {tuple(row[:keys]): row for row in rows[1:]}
        assert {tuple(row[:keys]) for row in published[1:]} == set(by_key)
        for row in published[1:]:
            for expected, actual in zip(row, by_key[tuple(row[:keys])], strict=True):
                cells += 1
                assert expected == actual or float(expected) == pytest.approx(
                    float(actual), rel=1e-12
                )
    assert cells == 62 * 32 + 19 * 26 + 73 * 19


def test_breakers_leave_all_other_records(tmp_path: Path) -> None:
    """Only the records named are changed, and all are named with their lines."""
    write_users(tmp_path / "good.csv", 500, 2)
    counts = dict.fromkeys(DAMAGES, 2)

    injected = break_records(tmp_path / "good.csv", tmp_path / "bad.csv", counts, 8)

    assert counts == Counter(fault.kind for fault in injected)
    good = (tmp_path / "good.csv").read_bytes().splitlines()
    bad = (tmp_path / "bad.csv").read_bytes().splitlines()
    touched = {fault.line for fault in injected}
    touched |= {fault.line + 1 for fault in injected if fault.kind == "newline_in_cell"}
    kept = [line for number, line in enumerate(bad, 1) if number not in touched]
    assert len(kept) == len(good) - len(injected)
    assert set(kept) <= set(good)


def test_breakers_refuse_what_cannot_be() -> None:
    """An unknown kind of damage is an error, not a good file."""
    with pytest.raises(ValueError, match="unknown damage 'rust'"):
        break_records(Path("x"), Path("y"), {"rust": 1}, 1)


def test_command_writes_parts_and_aggregates(tmp_path: Path) -> None:
    """Parts together hold the rows asked for, and the three tables lie beside them."""
    assert main(["--rows", "301", "--seed", "4", "--out", str(tmp_path), "--parts", "3"]) == 0

    parts = [f"users-{n}.csv" for n in (1, 2, 3)]
    lines = [(tmp_path / part).read_text(encoding="utf-8").splitlines() for part in parts]
    assert [len(part) for part in lines] == [101, 101, 102]
    assert {
        *parts,
        "buyers_by_country.csv",
        "top_seller_countries.csv",
        "sellers_compared.csv",
        "manifest.json",
    } == {path.name for path in tmp_path.iterdir()}
