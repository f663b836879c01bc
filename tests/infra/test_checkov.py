"""What checkov finds in the evaluated templates is mended, or skipped for a reason.

It reads what would be deployed (conditions, loops and names resolved), not the text: its own reader
of Bicep does not know all of the language. It has many dependencies, so it lives in an environment
of its own: `make infra-check` uses `.venv-checkov` where `make checkov` has made one.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.infra.bicep import COMBINATIONS, INFRA, ROOT, evaluate

SKIPS: list[dict[str, Any]] = json.loads((INFRA / "checkov.json").read_text())["skips"]
SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"


def checkov() -> str | None:
    """The program: of the variable CHECKOV, of `.venv-checkov`, or on the PATH."""
    own = ROOT / ".venv-checkov" / "bin" / "checkov"
    return os.environ.get("CHECKOV") or (str(own) if own.exists() else shutil.which("checkov"))


def findings(resources: list[dict[str, Any]], folder: Path) -> set[tuple[str, str]]:
    """Check and type of resource of each failed check."""
    program = checkov()
    if program is None:
        pytest.skip("no checkov: `make checkov`, or set CHECKOV")
    template = {"$schema": SCHEMA, "contentVersion": "1.0.0.0", "resources": resources}
    (folder / "template.json").write_text(json.dumps(template))
    done = subprocess.run(
        [
            program,
            "-d",
            str(folder),
            "--framework",
            "arm",
            "--skip-download",
            "--quiet",
            "-o",
            "json",
        ],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    report = json.loads(done.stdout)
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["passed"] > 20
    return {
        (check["check_id"], check["resource"].rpartition(".")[0])
        for check in report["results"]["failed_checks"]
    }


@pytest.mark.parametrize("name", COMBINATIONS)
def test_findings_are_those_that_are_skipped(name: str, tmp_path: Path) -> None:
    """None is without a reason, and no reason is without a finding."""
    resources = evaluate(tmp_path, COMBINATIONS[name]).resources
    (tmp_path / "arm").mkdir()
    skipped = {(skip["check"], skip["on"]) for skip in SKIPS if name in skip["in"]}
    assert findings(resources, tmp_path / "arm") == skipped


def test_each_skip_has_a_reason() -> None:
    """One that a reader can judge."""
    assert all(len(skip["reason"]) > 15 or skip["reason"].startswith("as CKV") for skip in SKIPS)
    assert len({(skip["check"], skip["on"]) for skip in SKIPS}) == len(SKIPS)
