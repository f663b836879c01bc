"""Writes what the data was drawn from, so that tests can tell what a model could have found.

users.csv     type of buyer, rate, first and last day, favourite categories, tier, sizes, style
products.csv  appeal and style; with the products table it says what suits whom
days.csv      expected demand of each day, its weekday's and its event's part
choice.csv    the constants of the choice

No model reads these files, and they are never delivered.
"""

from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl

from marketplace.generator import choice
from marketplace.generator.assortment import CATEGORIES, SIZES, STYLES
from marketplace.generator.calendar import Period, event_percent, week_percent, weight
from marketplace.generator.lifecycles import KINDS
from marketplace.generator.listings import FIRST_ID, Catalogue
from marketplace.generator.people import FAVOURITES, Crowd
from marketplace.generator.tables import Frame, write_csv

SYSTEM_NAMES = ("letters", "shoes", "men_shoes", "ages")


def write_truth(folder: Path, crowd: Crowd, catalogue: Catalogue, window: Period) -> list[Path]:
    """Write the files into a folder, which is made where it is not there."""
    folder.mkdir(exist_ok=True)
    tables = {
        "users": _users(crowd, window),
        "products": _products(catalogue),
        "days": _days(window),
        "choice": {
            "name": list(choice.CONSTANTS),
            "value": [float(value) for value in choice.CONSTANTS.values()],
        },
    }
    paths = []
    for name, frame in tables.items():
        path = folder / f"{name}.csv"
        with path.open("wb") as file:
            write_csv(file, frame, header=True)
        paths.append(path)
    return paths


def _users(crowd: Crowd, window: Period) -> Frame:
    users = np.arange(len(crowd.ids))
    cycles, sizes = crowd.lifecycles, crowd.sizes(users)
    favourites = np.array([c.name for c in CATEGORIES])[crowd.favourites(users)]
    style = crowd.preferred_style(users)
    start = np.datetime64(window.start)
    return {
        "user_id": crowd.ids,
        "type": np.array([kind.name for kind in KINDS])[cycles.kind],
        "rate": cycles.rate,
        "joined": pl.Series(start + cycles.joined),
        "ended": pl.Series(start + cycles.ended),
        "tier": crowd.tier(users),
        **{f"favourite_{n + 1}": favourites[:, n] for n in range(FAVOURITES)},
        **{f"size_{name}": np.array(SIZES)[sizes[:, n]] for n, name in enumerate(SYSTEM_NAMES)},
        **{f"style_{n}": style[:, n] for n in range(STYLES)},
    }


def _products(catalogue: Catalogue) -> Frame:
    index = np.arange(len(catalogue.category))
    style, system = catalogue.style(index), catalogue.size_system
    return {
        "product_id": FIRST_ID + index,
        "appeal": catalogue.appeal,
        "tier": catalogue.brand_tier[catalogue.brand],
        "size_system": np.array([*SYSTEM_NAMES, ""])[system],
        **{f"style_{n}": style[:, n] for n in range(STYLES)},
    }


def _days(window: Period) -> Frame:
    days = [window.start + timedelta(days=number) for number in range(window.length)]
    return {
        "day": pl.Series(days),
        "intensity": [weight(day, number) for number, day in enumerate(days)],
        "week_percent": [week_percent(day) for day in days],
        "event_percent": [event_percent(day) for day in days],
    }
