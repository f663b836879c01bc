"""host.json and its companions say what Azure and the local host are to do."""

import json
from pathlib import Path

from devcloud.config import PORTS, CloudConfig, app_settings
from devcloud.functions import hostjson

ROOT = Path(__file__).resolve().parents[2]
HOST = json.loads((ROOT / "host.json").read_text())


def test_bundle_concurrency_and_telemetry() -> None:
    """Extension bundle 4, dynamic concurrency that is remembered, OpenTelemetry."""
    bundle = {"id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[4.*, 5.0.0)"}
    concurrency = {"dynamicConcurrencyEnabled": True, "snapshotPersistenceEnabled": True}
    assert bundle == HOST["extensionBundle"]
    assert concurrency == HOST["concurrency"]
    assert HOST["telemetryMode"] == "OpenTelemetry"


def test_routes_have_no_prefix_and_queues_retry() -> None:
    """The path is /ingest, and a failed message is tried a few times, soon."""
    options = hostjson.parse(json.dumps(HOST))
    assert options.route_prefix == ""
    assert options.queue == hostjson.QueueOptions(
        max_dequeue_count=5,
        visibility_timeout=5.0,
        batch_size=8,
        new_batch_threshold=4,
        max_polling_interval=2.0,
    )


def test_sample_settings_name_every_setting() -> None:
    """local.settings.sample.json has the settings of the local cloud, and the host's own two."""
    sample = json.loads((ROOT / "local.settings.sample.json").read_text())
    ports = dict.fromkeys(PORTS, 1)
    settings = app_settings(CloudConfig(root=ROOT, app=ROOT, ports=ports))
    expected = {"FUNCTIONS_WORKER_RUNTIME", "AzureWebJobsStorage", *settings}
    assert expected == set(sample["Values"])
    assert sample["Values"]["AzureWebJobsStorage"] == "UseDevelopmentStorage=true"


def test_package_holds_the_product_only() -> None:
    """Of the top level only the app, service, library and team's folder are deployed."""
    lines = (ROOT / ".funcignore").read_text().splitlines()
    ignored = {line.rstrip("/") for line in lines if line and not line.startswith("#")}
    kept = {"ingest", "landfall", "marketplace"}
    folders = {
        path.name
        for path in ROOT.iterdir()
        if path.is_dir() and not path.name.startswith(".") and not path.name.endswith(".egg-info")
    }
    assert kept == folders - ignored
