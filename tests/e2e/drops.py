"""Small drops of the users table, written out by hand so that a test shows what it sends."""

from __future__ import annotations

from collections.abc import Iterable

USER: dict[str, str] = {
    "identifierHash": "0",
    "type": "user",
    "country": "France",
    "language": "fr",
    "socialNbFollowers": "3",
    "socialNbFollows": "8",
    "socialProductsLiked": "0",
    "productsListed": "0",
    "productsSold": "0",
    "productsPassRate": "0.0",
    "productsWished": "0",
    "productsBought": "1",
    "gender": "F",
    "civilityGenderId": "2",
    "civilityTitle": "mrs",
    "hasAnyApp": "False",
    "hasAndroidApp": "False",
    "hasIosApp": "False",
    "hasProfilePicture": "True",
    "daysSinceLastLogin": "100",
    "seniority": "3205",
    "seniorityAsMonths": "106.83",
    "seniorityAsYears": "8.9",
    "countryCode": "fr",
}


def users(
    ids: Iterable[int], header: Iterable[str] = USER, delimiter: str = ",", **cells: str
) -> str:
    """A CSV of users with these ids; `cells` hold for every one of them."""
    names = list(header)
    lines = [delimiter.join(names)]
    for identity in ids:
        record = {**USER, **cells, "identifierHash": str(identity)}
        lines.append(delimiter.join(record.get(name, "") for name in names))
    return "\n".join(lines) + "\n"
