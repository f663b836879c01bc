"""`landfall deploy adf|bundle`: the factory and the Databricks bundle, to a laptop or to Azure."""

from __future__ import annotations

from collections.abc import Callable

import click

from devcloud.config import CloudConfig


@click.group()
def deploy() -> None:
    """Deploy the factory or the bundle."""


def deploy_all(config: CloudConfig, say: Callable[[str], None]) -> None:
    """Deploy factory and bundle to a local cloud."""
    raise NotImplementedError(config, say)
