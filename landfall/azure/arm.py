"""Management client of Data Factory, for Azure and for a local endpoint with plain HTTP."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from azure.core.credentials import TokenCredential
from azure.core.pipeline import PipelineRequest
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.mgmt.datafactory import DataFactoryManagementClient

AGENT = "landfall"
CONNECT_SECONDS = 5
READ_SECONDS = 60


class AllowPlainHttpPolicy(SansIOHTTPPolicy[Any, Any]):
    """Allows bearer tokens over HTTP; the SDK reads this option per request.

    Only an endpoint that is configured with http gets this policy.
    """

    def on_request(self, request: PipelineRequest[Any]) -> None:
        """Set the option that the authentication policy reads."""
        request.context.options["enforce_https"] = False


def data_factory_client(
    endpoint: str, subscription: str, credential: TokenCredential
) -> DataFactoryManagementClient:
    """Return a client with timeouts.

    Args:
        endpoint: URL of the Azure Resource Manager, https://management.azure.com in Azure.
        subscription: id of the subscription of the factory.
        credential: credential for the scope of the Resource Manager.
    """
    plain = urlsplit(endpoint).scheme == "http"
    return DataFactoryManagementClient(
        credential,
        subscription,
        base_url=endpoint.rstrip("/"),
        credential_scopes=["https://management.azure.com/.default"],
        user_agent=AGENT,
        connection_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        per_call_policies=[AllowPlainHttpPolicy()] if plain else [],
    )
