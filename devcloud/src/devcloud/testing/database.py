"""A real PostgreSQL for tests, started as `landfall up` starts it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from devcloud.config import DATABASE, CloudConfig, create
from devcloud.supervisor import Supervisor


@contextlib.contextmanager
def local_database(root: Path) -> Iterator[CloudConfig]:
    """The configuration of a cloud of which the database alone runs."""
    config = create(root, root)
    with Supervisor(config, services=[DATABASE]):
        yield config
