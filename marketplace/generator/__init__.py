"""Generates the data of a synthetic marketplace: users, products, orders, interactions.

The data depends only on a seed, so that the same options give the same files.
"""

from marketplace.generator.aggregates import Aggregates, write_aggregates
from marketplace.generator.breakers import Injected, break_records
from marketplace.generator.users import COLUMNS, User, generate_users, write_users

__all__ = [
    "COLUMNS",
    "Aggregates",
    "Injected",
    "User",
    "break_records",
    "generate_users",
    "write_aggregates",
    "write_users",
]
