"""Computes the three aggregate tables of the published data from generated users.

A buyer bought something, a top buyer 10 products or more; a seller sold something, a top seller
20 or more; the comparison has users who sold or listed. Percentages have 1 decimal, ratios 2,
always rounded half up; a division by zero gives an empty cell.
"""

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path

from marketplace.generator.users import User

TOP_BUYER = 10
TOP_SELLER = 20

Cell = str
Row = list[Cell]


class Group:
    """Sums over a group of users."""

    def __init__(self) -> None:
        self.n = self.women = 0
        self.sold = self.listed = self.bought = self.wished = self.liked = 0
        self.followers = self.follows = self.offline = self.seniority = 0
        self.apps = self.ios = 0
        self.pass_rate = Fraction(0)

    def add(self, user: User) -> None:
        """Add a user."""
        self.n += 1
        self.women += user.gender == "F"
        self.sold += user.productsSold
        self.listed += user.productsListed
        self.bought += user.productsBought
        self.wished += user.productsWished
        self.liked += user.socialProductsLiked
        self.followers += user.socialNbFollowers
        self.follows += user.socialNbFollows
        self.offline += user.daysSinceLastLogin
        self.seniority += user.seniority
        self.apps += user.hasAnyApp
        self.ios += user.hasIosApp
        self.pass_rate += Fraction(str(user.productsPassRate))


class Aggregates:
    """Collects users and yields the three tables."""

    def __init__(self) -> None:
        self._buyers: dict[str, tuple[Group, Group]] = {}
        self._sellers: dict[str, tuple[Group, Group]] = {}
        self._compared: dict[tuple[str, str], Group] = {}

    def add(self, user: User) -> None:
        """Add a user."""
        if user.productsBought > 0:
            everyone, top = self._buyers.setdefault(user.country, (Group(), Group()))
            everyone.add(user)
            if user.productsBought >= TOP_BUYER:
                top.add(user)
        if user.productsSold > 0:
            everyone, top = self._sellers.setdefault(user.country, (Group(), Group()))
            everyone.add(user)
            if user.productsSold >= TOP_SELLER:
                top.add(user)
        if user.productsSold > 0 or user.productsListed > 0:
            sex = "Female" if user.gender == "F" else "Male"
            for key in ((user.country, sex), ("", sex), ("", "")):
                self._compared.setdefault(key, Group()).add(user)

    def buyers_by_country(self) -> Iterator[Row]:
        """Yield the header and one row for each country with a buyer, most top buyers first."""
        yield [name for name, _ in _BUYERS]
        ranked = sorted(self._buyers.items(), key=lambda i: (-i[1][1].n, -i[1][0].n, i[0]))
        for country, (everyone, top) in ranked:
            yield [country, *(cell(everyone, top) for _, cell in _BUYERS[1:])]

    def top_seller_countries(self) -> Iterator[Row]:
        """Yield the header and one row for each country with a top seller, highest share first."""
        yield [name for name, _ in _SELLERS]
        with_top = [item for item in self._sellers.items() if item[1][1].n]
        ranked = sorted(with_top, key=lambda i: (-Fraction(i[1][1].n, i[1][0].n), i[0]))
        for country, (everyone, top) in ranked:
            yield [country, *(cell(everyone, top) for _, cell in _SELLERS[1:])]

    def sellers_compared(self) -> Iterator[Row]:
        """Yield the header and one row for each country and sex, then totals without a country."""
        yield [name for name, _ in _COMPARED]
        ranked = sorted(
            self._compared.items(), key=lambda i: (not i[0][0], i[0][0], not i[0][1], i[0][1])
        )
        for (country, sex), group in ranked:
            yield [country, sex, *(cell(group, group) for _, cell in _COMPARED[2:])]


def write_aggregates(aggregates: Aggregates, folder: Path) -> list[Path]:
    """Write the three tables as CSV into `folder`, each named after its dataset."""
    tables: dict[str, Callable[[], Iterable[Row]]] = {
        "buyers_by_country": aggregates.buyers_by_country,
        "top_seller_countries": aggregates.top_seller_countries,
        "sellers_compared": aggregates.sellers_compared,
    }
    written = []
    for name, rows in tables.items():
        path = folder / f"{name}.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            file.writelines(",".join(row) + "\n" for row in rows())
        written.append(path)
    return written


def half_up(value: Fraction, decimals: int) -> str:
    """Round a value, not negative, half up and format it as a float."""
    scale = 10**decimals
    scaled = (2 * value.numerator * scale + value.denominator) // (2 * value.denominator)
    return str(scaled / scale)


def _ratio(top: int | Fraction, bottom: int, decimals: int, factor: int = 1) -> Cell:
    return half_up(Fraction(factor * top, bottom), decimals) if bottom else ""


def _floor_percent(part: int, whole: int) -> Cell:
    percent = 100 * part // whole
    return str(float(percent)) if percent else ""


Maker = Callable[[Group, Group], Cell]
"""Computes a cell from all users of a country and the top ones among them."""

_BUYERS: list[tuple[str, Maker]] = [
    ("country", lambda _, __: ""),
    ("buyers", lambda a, _: str(a.n)),
    ("topbuyers", lambda _, t: str(t.n)),
    ("topbuyerratio", lambda a, t: _ratio(t.n, a.n, 1, 100)),
    ("femalebuyers", lambda a, _: str(a.women)),
    ("malebuyers", lambda a, _: str(a.n - a.women)),
    ("topfemalebuyers", lambda _, t: str(t.women)),
    ("topmalebuyers", lambda _, t: str(t.n - t.women)),
    ("femalebuyersratio", lambda a, _: _ratio(a.women, a.n, 1, 100)),
    ("topfemalebuyersratio", lambda _, t: _ratio(t.women, t.n, 1, 100)),
    ("boughtperwishlistratio", lambda a, _: _ratio(a.bought, a.wished, 2, 100)),
    ("boughtperlikeratio", lambda a, _: _ratio(a.bought, a.liked, 2, 100)),
    ("topboughtperwishlistratio", lambda _, t: _ratio(t.bought, t.wished, 2, 100)),
    ("topboughtperlikeratio", lambda _, t: _ratio(t.bought, t.liked, 2, 100)),
    ("totalproductsbought", lambda a, _: str(a.bought)),
    ("totalproductswished", lambda a, _: str(a.wished)),
    ("totalproductsliked", lambda a, _: str(a.liked)),
    ("toptotalproductsbought", lambda _, t: str(t.bought)),
    ("toptotalproductswished", lambda _, t: str(t.wished)),
    ("toptotalproductsliked", lambda _, t: str(t.liked)),
    ("meanproductsbought", lambda a, _: _ratio(a.bought, a.n, 1)),
    ("meanproductswished", lambda a, _: _ratio(a.wished, a.n, 1)),
    ("meanproductsliked", lambda a, _: _ratio(a.liked, a.n, 1)),
    ("topmeanproductsbought", lambda _, t: _ratio(t.bought, t.n, 1)),
    ("topmeanproductswished", lambda _, t: _ratio(t.wished, t.n, 1)),
    ("topmeanproductsliked", lambda _, t: _ratio(t.liked, t.n, 1)),
    ("meanofflinedays", lambda a, _: _ratio(a.offline, a.n, 1)),
    ("topmeanofflinedays", lambda _, t: _ratio(t.offline, t.n, 1)),
    ("meanfollowers", lambda a, _: _ratio(a.followers, a.n, 1)),
    ("meanfollowing", lambda a, _: _ratio(a.follows, a.n, 1)),
    ("topmeanfollowers", lambda _, t: _ratio(t.followers, t.n, 1)),
    ("topmeanfollowing", lambda _, t: _ratio(t.follows, t.n, 1)),
]

_SELLERS: list[tuple[str, Maker]] = [
    ("country", lambda _, __: ""),
    ("sellers", lambda a, _: str(a.n)),
    ("topsellers", lambda _, t: str(t.n)),
    ("topsellerratio", lambda a, t: _ratio(t.n, a.n, 1, 100)),
    ("femalesellersratio", lambda a, _: _ratio(a.women, a.n, 1, 100)),
    ("topfemalesellersratio", lambda _, t: _ratio(t.women, t.n, 1, 100)),
    ("femalesellers", lambda a, _: str(a.women)),
    ("malesellers", lambda a, _: str(a.n - a.women)),
    ("topfemalesellers", lambda _, t: str(t.women)),
    ("topmalesellers", lambda _, t: str(t.n - t.women)),
    ("countrysoldratio", lambda a, _: _ratio(a.sold, a.listed, 2)),
    ("bestsoldratio", lambda _, t: _ratio(t.sold, t.listed, 2)),
    ("toptotalproductssold", lambda _, t: str(t.sold)),
    ("totalproductssold", lambda a, _: str(a.sold)),
    ("toptotalproductslisted", lambda _, t: str(t.listed)),
    ("totalproductslisted", lambda a, _: str(a.listed)),
    ("topmeanproductssold", lambda _, t: str(t.sold / t.n)),
    ("topmeanproductslisted", lambda _, t: str(t.listed / t.n)),
    ("meanproductssold", lambda a, _: str(a.sold / a.n)),
    ("meanproductslisted", lambda a, _: str(a.listed / a.n)),
    ("meanofflinedays", lambda a, _: _ratio(a.offline, a.n, 1)),
    ("topmeanofflinedays", lambda _, t: _ratio(t.offline, t.n, 1)),
    ("meanfollowers", lambda a, _: _ratio(a.followers, a.n, 1)),
    ("meanfollowing", lambda a, _: _ratio(a.follows, a.n, 1)),
    ("topmeanfollowers", lambda _, t: _ratio(t.followers, t.n, 1)),
    ("topmeanfollowing", lambda _, t: _ratio(t.follows, t.n, 1)),
]

_COMPARED: list[tuple[str, Maker]] = [
    ("country", lambda _, __: ""),
    ("sex", lambda _, __: ""),
    ("nbsellers", lambda g, _: str(g.n)),
    ("meanproductssold", lambda g, _: _ratio(g.sold, g.n, 2)),
    ("meanproductslisted", lambda g, _: _ratio(g.listed, g.n, 2)),
    ("meansellerpassrate", lambda g, _: _ratio(g.pass_rate, g.n, 2)),
    ("totalproductssold", lambda g, _: str(g.sold)),
    ("totalproductslisted", lambda g, _: str(g.listed)),
    ("meanproductsbought", lambda g, _: _ratio(g.bought, g.n, 2)),
    ("meanproductswished", lambda g, _: _ratio(g.wished, g.n, 2)),
    ("meanproductsliked", lambda g, _: _ratio(g.liked, g.n, 2)),
    ("totalbought", lambda g, _: str(g.bought)),
    ("totalwished", lambda g, _: str(g.wished)),
    ("totalproductsliked", lambda g, _: str(g.liked)),
    ("meanfollowers", lambda g, _: _ratio(g.followers, g.n, 1)),
    ("meanfollows", lambda g, _: _ratio(g.follows, g.n, 1)),
    ("percentofappusers", lambda g, _: _floor_percent(g.apps, g.n)),
    ("percentofiosusers", lambda g, _: _floor_percent(g.ios, g.n)),
    ("meanseniority", lambda g, _: str(g.seniority / g.n)),
]
