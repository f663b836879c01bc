"""Where the local Azure stands: its folder, ports and secrets, kept in one file of that folder."""

from __future__ import annotations

import base64
import hmac
import json
import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

CONFIG_NAME = "devcloud.json"
SERVICES = ("lake", "datafactory", "databricks", "functions")
"""What answers over HTTP."""
DATABASE = "database"
PROCESSES = (*SERVICES, DATABASE)
"""All that runs, each on a port of its own."""
QUEUES = "queues"
"""Queue storage, which the process of the functions service serves on a second port."""
PORTS = (*PROCESSES, QUEUES)
SECRET_SCOPE = "landfall"  # noqa: S105 - a name, no secret
"""The local workspace's one secret scope, which the key vault backs."""
CONTAINERS = ("landing", "raw", "quarantine", "bronze", "silver", "gold", "manifest")


@dataclass(frozen=True)
class CloudConfig:
    """Everything a local service or a client of it has to know.

    Attributes:
        root: data folder; `lake/<container>/` under it is the lake itself.
        app: folder of the function app, its contracts, its factory and its bundle.
        ports: TCP port on 127.0.0.1 of each of `PORTS`.
        account: storage account name; account_key: base64, as Azure issues them.
        function_key: host key of the functions host, as `x-functions-key` or `?code=`.
        master_key: its master key; system_key: of its blob webhook.
        landing_function: the blob-triggered function that gets the events of the container
            `landing`; empty where there is none.
        identity_secret: what a managed identity's token request must carry.
        databricks_token: personal access token of the local workspace.
        database_password: of the one user of the PostgreSQL database.
        spark_lake: URI template by which Spark reaches a container; None means the folder itself.
        containers: made at the start, where they are missing.
        settings: further app settings, laid over those that `app_settings` derives.
        warm: start Spark before it is needed.
    """

    root: Path
    app: Path
    ports: Mapping[str, int]
    account: str = "landfall"
    account_key: str = ""
    subscription: str = "00000000-0000-0000-0000-000000000000"
    resource_group: str = "landfall"
    factory: str = "landfall"
    databricks_token: str = ""
    function_key: str = ""
    master_key: str = ""
    system_key: str = ""
    landing_function: str = "on_landing"
    identity_secret: str = ""
    database_name: str = "landfall"
    database_user: str = "landfall"
    database_password: str = ""
    spark_lake: str | None = None
    containers: Sequence[str] = CONTAINERS
    settings: Mapping[str, str] = field(default_factory=dict)
    warm: bool = True

    def url(self, service: str) -> str:
        """Base URL of one of `SERVICES` or of `QUEUES`, without a trailing slash."""
        return f"http://127.0.0.1:{self.ports[service]}"

    def pid_file(self, service: str) -> Path:
        """Where a running service of this cloud leaves its process id."""
        return self.root / "run" / f"{service}.pid"

    @property
    def lake_folder(self) -> Path:
        """The folder whose children are the containers."""
        return self.root / "lake"

    @property
    def lake_url(self) -> str:
        """Path-style endpoint of the storage account, for both the dfs and the blob API."""
        return f"{self.url('lake')}/{self.account}"

    @property
    def queues_url(self) -> str:
        """Path-style endpoint of the storage account's queues."""
        return f"{self.url(QUEUES)}/{self.account}"

    @property
    def lake_connection_string(self) -> str:
        """Connection string that the blob, Data Lake and queue SDKs read alike."""
        return (
            f"DefaultEndpointsProtocol=http;AccountName={self.account};"
            f"AccountKey={self.account_key};BlobEndpoint={self.lake_url};"
            f"QueueEndpoint={self.queues_url};"
        )

    @property
    def identity_url(self) -> str:
        """Token endpoint of the managed identity, as App Service offers it (IDENTITY_ENDPOINT)."""
        return f"{self.url('datafactory')}/identity/token"

    @property
    def vault_url(self) -> str:
        """Base URL of the key vault that holds `secrets`."""
        return f"{self.url('datafactory')}/vault"

    @property
    def secrets(self) -> dict[str, str]:
        """What the key vault holds, by name."""
        topic_key = hmac.digest(self.identity_secret.encode(), b"event-topic-key", "sha256")
        return {
            "function-key": self.function_key,
            "database-password": self.database_password,
            "event-topic-key": base64.b64encode(topic_key).decode(),
        }

    def topic_url(self, topic: str) -> str:
        """Endpoint of an Event Grid topic; its key is the secret `event-topic-key`."""
        return f"{self.url('datafactory')}/topics/{topic}/api/events"

    @property
    def database_url(self) -> str:
        """Where the database is, without credentials."""
        return f"postgresql://127.0.0.1:{self.ports[DATABASE]}/{self.database_name}"

    @property
    def database_dsn(self) -> str:
        """The same with credentials, as PostgreSQL's clients take it."""
        return self.database_url.replace("//", f"//{self.database_user}:{self.database_password}@")

    @property
    def spark_lake_template(self) -> str:
        """URI template with `{container}` by which Spark jobs reach the lake."""
        return self.spark_lake or f"{self.lake_folder.resolve().as_uri()}/{{container}}"

    def save(self) -> Path:
        """Write the configuration into its root, readable by its owner only."""
        self.root.mkdir(parents=True, exist_ok=True)
        path = self.root / CONFIG_NAME
        document = asdict(self) | {"root": str(self.root), "app": str(self.app)}
        staged = path.with_suffix(".tmp")
        staged.write_text(json.dumps(document, indent=2) + "\n")
        staged.chmod(0o600)
        staged.replace(path)
        return path


def load(root: Path) -> CloudConfig:
    """Read the configuration that `create` left in a folder.

    Raises:
        FileNotFoundError: no local Azure was ever started in that folder.
    """
    document = json.loads((root / CONFIG_NAME).read_text())
    known = {name: document[name] for name in CloudConfig.__dataclass_fields__ if name in document}
    known["ports"] = dict.fromkeys(PORTS, 0) | known["ports"]  # 0: not served when it was written
    return CloudConfig(**known | {"root": root, "app": Path(document["app"])})


def create(root: Path, app: Path, **overrides: object) -> CloudConfig:
    """Make a configuration with fresh secrets and free ports; save it.

    Secrets and ports of an earlier start in the same folder are kept where they still can be, so
    that URLs and keys handed out yesterday work today.
    """
    root = root.resolve()
    try:
        earlier: CloudConfig | None = load(root)
    except FileNotFoundError:
        earlier = None
    fresh = CloudConfig(
        root=root,
        app=app.resolve(),
        ports=free_ports(earlier.ports if earlier else {}),
        account_key=base64.b64encode(os.urandom(64)).decode(),
        databricks_token="dapi" + secrets.token_hex(16),
        function_key=secrets.token_urlsafe(40),
        master_key=secrets.token_urlsafe(40),
        system_key=secrets.token_urlsafe(40),
        identity_secret=secrets.token_hex(16),
        database_password=secrets.token_hex(16),
    )
    if earlier:
        fresh = replace(
            fresh,
            account_key=earlier.account_key,
            databricks_token=earlier.databricks_token,
            function_key=earlier.function_key,
            master_key=earlier.master_key or fresh.master_key,
            system_key=earlier.system_key or fresh.system_key,
            identity_secret=earlier.identity_secret,
            database_password=earlier.database_password or fresh.database_password,
        )
    fresh = replace(fresh, **overrides)  # type: ignore[arg-type]
    fresh.save()
    return fresh


def free_ports(preferred: Mapping[str, int]) -> dict[str, int]:
    """A free port of 127.0.0.1 for each service: the preferred one where nobody has it."""
    held: list[socket.socket] = []
    ports: dict[str, int] = {}
    try:
        for service in PORTS:
            for port in (preferred.get(service, 0), 0):
                listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    listener.bind(("127.0.0.1", port))
                except OSError:
                    listener.close()
                    continue
                held.append(listener)
                ports[service] = listener.getsockname()[1]
                break
    finally:
        for listener in held:
            listener.close()
    return ports


def app_settings(config: CloudConfig) -> dict[str, str]:
    """The application settings that point the function app at this cloud.

    They are the same settings that an Azure deployment has; only endpoints and credentials differ.
    """
    return {
        "LANDFALL_LAKE": config.lake_connection_string,
        "LANDFALL_ADF_ENDPOINT": config.url("datafactory"),
        "LANDFALL_ADF_SUBSCRIPTION": config.subscription,
        "LANDFALL_ADF_RESOURCE_GROUP": config.resource_group,
        "LANDFALL_ADF_FACTORY": config.factory,
        "DATABRICKS_HOST": config.url("databricks"),
        "DATABRICKS_TOKEN": config.databricks_token,
        "IDENTITY_ENDPOINT": config.identity_url,
        "IDENTITY_HEADER": config.identity_secret,
        "LANDFALL_SPARK_LAKE": config.spark_lake_template,
        "LANDFALL_TICK": "*/2 * * * * *",
        "LANDFALL_SETTLE_SECONDS": "5",
        **config.settings,
    }


def bundle_variables(config: CloudConfig) -> dict[str, str]:
    """What the asset bundle must be told of this cloud, beside what its default target says."""
    return {
        "lake": config.spark_lake_template,
        "database": config.database_url,
        "database_user": config.database_user,
        "database_secret": f"{SECRET_SCOPE}/database-password",
    }
