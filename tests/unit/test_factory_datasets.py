"""The factory's list of datasets, which nothing derives from the contracts."""

import json

from landfall.contract.folder import load_folder
from tests.docs.pages import ROOT


def test_the_daily_sweep_visits_every_dataset() -> None:
    """Each dataset that has a contract is swept, and nothing that has none."""
    trigger = json.loads((ROOT / "adf/trigger/daily_sweep.json").read_text(encoding="utf-8"))

    (started,) = trigger["properties"]["pipelines"]
    swept = started["parameters"]["datasets"]
    assert sorted(load_folder(ROOT / "marketplace" / "contracts")) == sorted(swept)
