"""Where a deployment stands: the outputs of `infra/main.bicep`, read from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

ARM = "https://management.azure.com"


class DeploymentError(Exception):
    """A step of the deployment failed; the message says what to do."""


@dataclass(frozen=True)
class Deployment:
    """Names, ids and addresses of the resources.

    Attributes:
        endpoint: base URL of the Resource Manager.
        function_app: name of the app; url: its base URL.
        vault: name of the key vault; vault_url: its base URL.
        lake_id: resource id of the storage account; lake_url: its dfs endpoint.
        system_topic: name of the Event Grid topic of the lake.
        factory: name of the Data Factory.
        databricks_host: URL of the workspace.
        databricks_token: personal access token; "" in Azure, where an Entra token serves.
        connector_id: resource id of the access connector.
        app_client_id: client id of the app's identity.
        pipeline_role_id: resource id of the custom role; "" if it is not known.
        database_url: of the reports' database; "" if there is none.
        database_admin: its Entra administrator, who deploys.
        connector_principal: object id of the access connector's identity.
        bundle_target: target of the asset bundle.
        bundle_variables: values of the bundle's variables.
    """

    endpoint: str
    subscription: str
    resource_group: str
    location: str
    function_app: str
    url: str
    vault: str
    vault_url: str
    lake_id: str
    lake_url: str
    system_topic: str
    factory: str
    databricks_host: str
    databricks_token: str
    connector_id: str
    app_client_id: str
    pipeline_role_id: str
    database_url: str
    database_admin: str
    connector_principal: str
    bundle_target: str
    bundle_variables: Mapping[str, str]

    @property
    def group_id(self) -> str:
        """Resource id of the resource group."""
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.resource_group}"

    @property
    def app_id(self) -> str:
        """Resource id of the Function App."""
        return f"{self.group_id}/providers/Microsoft.Web/sites/{self.function_app}"

    @property
    def vault_id(self) -> str:
        """Resource id of the key vault."""
        return f"{self.group_id}/providers/Microsoft.KeyVault/vaults/{self.vault}"

    @property
    def topic_id(self) -> str:
        """Resource id of the Event Grid topic."""
        return f"{self.group_id}/providers/Microsoft.EventGrid/systemTopics/{self.system_topic}"

    @property
    def lake_account(self) -> str:
        """Name of the storage account."""
        return _last(self.lake_id)

    @property
    def connector(self) -> str:
        """Name of the access connector."""
        return _last(self.connector_id)


def _last(resource_id: str) -> str:
    return resource_id.rstrip("/").rsplit("/", 1)[-1]


def read_deployment(environment: Mapping[str, str]) -> Deployment:
    """Return the deployment that an environment describes.

    Raises:
        DeploymentError: variables are missing; the message names them.
    """
    missing = [name for name in _REQUIRED if not environment.get(name)]
    if missing:
        raise DeploymentError(
            f"not in the environment: {', '.join(missing)}. `azd up` runs this hook with them; "
            "by hand: eval \"$(azd env get-values | sed 's/^/export /')\""
        )
    lake_url = environment["LANDFALL_LAKE_URL"].rstrip("/")
    deployment = Deployment(
        endpoint=environment.get("LANDFALL_ADF_ENDPOINT") or ARM,
        subscription=environment["LANDFALL_ADF_SUBSCRIPTION"],
        resource_group=environment["LANDFALL_ADF_RESOURCE_GROUP"],
        location=environment["AZURE_LOCATION"],
        function_app=environment["LANDFALL_FUNCTION_APP"],
        url=environment["LANDFALL_URL"].rstrip("/"),
        vault=environment["LANDFALL_KEY_VAULT"],
        vault_url=environment["LANDFALL_KEY_VAULT_URL"].rstrip("/"),
        lake_id=environment["LANDFALL_LAKE_ID"],
        lake_url=lake_url,
        system_topic=environment["LANDFALL_SYSTEM_TOPIC"],
        factory=environment["LANDFALL_ADF_FACTORY"],
        databricks_host=environment["DATABRICKS_HOST"].rstrip("/"),
        databricks_token=environment.get("DATABRICKS_TOKEN", ""),
        connector_id=environment["LANDFALL_ACCESS_CONNECTOR_ID"],
        app_client_id=environment["LANDFALL_APP_CLIENT_ID"],
        pipeline_role_id=environment.get("LANDFALL_PIPELINE_ROLE_ID", ""),
        database_url=environment.get("LANDFALL_DATABASE_URL", ""),
        database_admin=environment.get("LANDFALL_DATABASE_ADMIN_NAME", ""),
        connector_principal=environment.get("LANDFALL_CONNECTOR_PRINCIPAL_ID", ""),
        bundle_target=environment.get("LANDFALL_BUNDLE_TARGET") or "prod",
        bundle_variables=_bundle_variables(environment),
    )
    return deployment


def service_credential(lake_account: str) -> str:
    """Return the name of the credential by which the jobs sign in to the database."""
    return f"landfall-{lake_account}-database"


def _bundle_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return `BUNDLE_VAR_<name>` of the environment, over what follows from the deployment."""
    host = environment["LANDFALL_LAKE_URL"].rstrip("/").partition("://")[2]
    variables = {"lake": f"abfss://{{container}}@{host}"}
    if database := environment.get("LANDFALL_DATABASE_URL"):
        account = _last(environment["LANDFALL_LAKE_ID"])
        variables["database"] = database
        variables["database_user"] = _last(environment["LANDFALL_ACCESS_CONNECTOR_ID"])
        variables["database_secret"] = f"credential:{service_credential(account)}"
    given = {
        name.removeprefix(_VARIABLE): value
        for name, value in environment.items()
        if name.startswith(_VARIABLE)
    }
    return variables | given


_VARIABLE = "BUNDLE_VAR_"
_REQUIRED = (
    "AZURE_LOCATION",
    "DATABRICKS_HOST",
    "LANDFALL_ACCESS_CONNECTOR_ID",
    "LANDFALL_ADF_FACTORY",
    "LANDFALL_ADF_RESOURCE_GROUP",
    "LANDFALL_ADF_SUBSCRIPTION",
    "LANDFALL_APP_CLIENT_ID",
    "LANDFALL_FUNCTION_APP",
    "LANDFALL_KEY_VAULT",
    "LANDFALL_KEY_VAULT_URL",
    "LANDFALL_LAKE_ID",
    "LANDFALL_LAKE_URL",
    "LANDFALL_SYSTEM_TOPIC",
    "LANDFALL_URL",
)
