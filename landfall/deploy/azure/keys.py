"""Keys of the Function App: the factory's, which goes into the vault, and the webhook's.

Both exist only when the host runs the app, so a template cannot know them.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from landfall.azure.resources import ResourceError, ResourceManager
from landfall.deploy.azure.deployment import Deployment, DeploymentError

FACTORY_KEY = "data-factory"
SECRET = "function-key"  # noqa: S105 - the name of a secret
"""What the pipelines of `adf/` read."""
BLOBS_EXTENSION = "blobs_extension"
WEB = "2024-11-01"
VAULT = "2024-11-01"
PATIENCE = 600.0
_PAUSE = 5.0


@dataclass(frozen=True)
class AppKeys:
    """Keys of a Function App.

    Attributes:
        webhook: opens the webhook of the blob trigger.
        factory: opens the HTTP API, for Data Factory; "" if there is none yet.
    """

    webhook: str = field(repr=False)
    factory: str = field(repr=False)


def wait_for_keys(
    manager: ResourceManager,
    deployment: Deployment,
    *,
    patience: float = PATIENCE,
    sleep: Callable[[float], None] = time.sleep,
) -> AppKeys:
    """Return the keys once the host has made that of the blob trigger.

    Args:
        manager: for the subscription.
        deployment: whose app it is.
        patience: seconds to wait for.
        sleep: waits a number of seconds.

    Raises:
        DeploymentError: the host did not make the key in time.
    """
    waited, reason = 0.0, "the host has not loaded the blob trigger"
    while True:
        try:
            keys = manager.post(f"{deployment.app_id}/host/default/listkeys", WEB)
        except ResourceError as error:
            if error.status in (401, 403):
                raise DeploymentError(f"you may not list the keys of the app: {error}") from error
            reason = str(error)
        else:
            webhook = (keys.get("systemKeys") or {}).get(BLOBS_EXTENSION)
            if webhook:
                return AppKeys(webhook, (keys.get("functionKeys") or {}).get(FACTORY_KEY, ""))
        if waited >= patience:
            raise DeploymentError(
                f"after {patience:.0f} s the app {deployment.function_app} still has no key of its "
                f"blob trigger: {reason}. Open {deployment.url}/health; it names a setting that is "
                "wrong. If it does not answer, look at the app's log stream."
            )
        sleep(_PAUSE)
        waited += _PAUSE


def put_factory_key(manager: ResourceManager, deployment: Deployment, keys: AppKeys) -> bool:
    """Give Data Factory a key of its own, and keep it in the vault; return whether that changed.

    The secret is written through the Resource Manager: its value can be set there and not read,
    and the vault needs no way in from where the deployment runs.

    Raises:
        ResourceError: a request was refused.
    """
    value = keys.factory
    if not value:
        value = secrets.token_urlsafe(40)
        manager.put(
            f"{deployment.app_id}/host/default/functionKeys/{FACTORY_KEY}",
            WEB,
            {"properties": {"name": FACTORY_KEY, "value": value}},
        )
    secret = f"{deployment.vault_id}/secrets/{SECRET}"
    # A random key of 320 bits cannot be found from its digest.
    digest = hashlib.sha256(value.encode()).hexdigest()
    present = manager.get(secret, VAULT)
    if present is not None and (present.get("tags") or {}).get("sha256") == digest:
        return False
    manager.put(secret, VAULT, {"tags": {"sha256": digest}, "properties": {"value": value}})
    return True
