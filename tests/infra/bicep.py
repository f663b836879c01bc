"""The Bicep CLI, where there is one: compiles, lints, and evaluates templates without Azure."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
INFRA = ROOT / "infra"
SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
TENANT = "00000000-0000-0000-0000-000000000002"
Json = dict[str, Any]

PUBLIC: Json = {"environmentName": "test", "location": "westeurope"}
PRIVATE: Json = {
    **PUBLIC,
    "network": "private",
    "allowedIps": "198.51.100.0/24",
    "database": "postgresql",
    "databaseAdminId": "11111111-1111-1111-1111-111111111111",
    "databaseAdminName": "admins",
    "databaseAdminType": "Group",
    "customerKey": True,
    "alertEmail": "data@example.com",
    "monthlyBudget": 500,
    "authClientId": "22222222-2222-2222-2222-222222222222",
    "alwaysReady": 1,
    "sources": {"shop": {"server": "shop.example.com"}},
}
COMBINATIONS = {"public": PUBLIC, "private": PRIVATE}


@dataclass(frozen=True)
class Evaluated:
    """What a template would deploy: resources with their names, conditions and loops resolved."""

    resources: list[Json]
    diagnostics: list[str]

    def of(self, kind: str) -> list[Json]:
        """The resources of a type."""
        return [each for each in self.resources if each["type"] == kind]


def cli() -> str | None:
    """The Bicep CLI: of the variable BICEP, on the PATH, or beside the repository."""
    beside = ROOT.parent / "shared" / "tools" / "bicep"
    named = os.environ.get("BICEP")
    return named or shutil.which("bicep") or (str(beside) if beside.exists() else None)


def run(*arguments: str, folder: Path = INFRA) -> subprocess.CompletedProcess[str]:
    """Run the CLI; skip the test where there is none."""
    program = cli()
    if program is None:
        pytest.skip("no Bicep CLI: set BICEP, or put it on the PATH")
    return subprocess.run(
        [program, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )


def evaluate(folder: Path, parameters: Mapping[str, Any]) -> Evaluated:
    """Evaluate main.bicep in an empty folder."""
    copy = folder / "infra"
    shutil.copytree(INFRA, copy)
    lines = ["using 'main.bicep'"]
    lines += [f"param {name} = {_literal(value)}" for name, value in parameters.items()]
    (copy / "test.bicepparam").write_text("\n".join(lines))
    arguments = ("--mode", "overwrite", "--subscription-id", SUBSCRIPTION, "--tenant-id", TENANT)
    done = run("snapshot", "test.bicepparam", *arguments, "--location", "westeurope", folder=copy)
    assert done.returncode == 0, done.stderr
    snapshot = json.loads((copy / "test.snapshot.json").read_text())
    return Evaluated(snapshot["predictedResources"], snapshot["diagnostics"])


def _literal(value: object) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key}: {_literal(item)}' for key, item in value.items())} }}"
    return f"'{value}'" if isinstance(value, str) else json.dumps(value)
