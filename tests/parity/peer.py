"""Runs datacontract-cli on the cases, in its own environment.

.venv-peers/bin/python tests/parity/peer.py < cases.json > verdicts.json
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
from pathlib import Path
from typing import Any

from datacontract.data_contract import DataContract


def validate(contract: str, data: str) -> dict[str, Any]:
    """Return whether the file passes, and the reasons."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.csv"
        path.write_text(data, encoding="utf-8")
        document = json.loads(contract)
        server = {"server": "l", "type": "local", "path": str(path), "format": "csv"}
        document["servers"] = [server]
        run = DataContract(data_contract_str=json.dumps(document), server="l").test()
    reasons = [f"{check.type}: {check.reason}" for check in run.checks if check.reason]
    return {"passes": run.has_passed(), "result": run.result.value, "reasons": reasons}


logging.disable(logging.CRITICAL)
json.dump([validate(**case) for case in json.load(sys.stdin)], sys.stdout)
