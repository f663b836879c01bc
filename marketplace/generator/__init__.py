"""A marketplace that never was: its users, what they list, look at and buy, and tables over them.

Everything follows from a seed, so that anybody gets the same files, in any number of rows.
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
