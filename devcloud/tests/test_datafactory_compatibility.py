"""The command that tells which pipelines of a folder the local data factory would accept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from devcloud.datafactory.compatibility import check_folder, main

WAIT = {"name": "Wait", "type": "Wait", "typeProperties": {"waitTimeInSeconds": 1}}
FLOW = {"name": "Flow", "type": "ExecuteDataFlow", "typeProperties": {}}


def write(path: Path, document: Any, encoding: str = "utf-8") -> None:
    """A JSON file, in its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document), encoding)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files as Studio commits them, an exported template, and what is no definition."""
    write(tmp_path / "pipeline/good.json", {"name": "good", "properties": {"activities": [WAIT]}})
    marked = {"name": "flow", "properties": {"activities": [FLOW]}}
    write(tmp_path / "pipeline/flow.json", marked, "utf-8-sig")
    copied = {"type": "DatasetReference", "referenceName": "not in this folder"}
    lookup = {"source": {"type": "JsonSource"}, "dataset": copied}
    activities = [
        {"name": "Read", "type": "Lookup", "typeProperties": lookup},
        {**WAIT, "typeProperties": {"waitTimeInSeconds": "[parameters('seconds')]"}},
        {
            "name": "Fail",
            "type": "Fail",
            "typeProperties": {"message": "[[it's]", "errorCode": "[concat('a', 'b')]"},
        },
    ]
    resource = {
        "name": "[concat(parameters('factoryName'), '/exported')]",
        "type": "Microsoft.DataFactory/factories/pipelines",
        "properties": {"activities": activities},
    }
    parameters = {"factoryName": {"type": "string"}, "seconds": {"defaultValue": 5}}
    write(tmp_path / "arm/template.json", {"parameters": parameters, "resources": [resource]})
    write(tmp_path / "dataset/other.json", {"name": "other", "properties": {"type": "Json"}})
    (tmp_path / "broken.json").write_text("{")
    return tmp_path


def test_folder(folder: Path) -> None:
    """Every pipeline of every file is checked; a refusal names the place and the thing."""
    outcomes = {each.name: each for each in check_folder(folder)}
    assert {name: each.refusal is None for name, each in outcomes.items()} == {
        "exported": True,
        "flow": False,
        "good": True,
    }
    assert outcomes["flow"].file == "pipeline/flow.json"
    refusal = outcomes["flow"].refusal or ""
    assert refusal.startswith("Flow: the type 'ExecuteDataFlow' is not known")
    assert outcomes["flow"].reason == (
        "the type 'ExecuteDataFlow' is not known to the local data factory"
    )


def test_command(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It ends with the count and the reasons; `--json` is for programs."""
    assert main([str(folder)]) == 0
    report = capsys.readouterr().out.splitlines()
    assert report[-2] == "2 of 3 pipelines accepted"
    assert report[-1].split()[0] == "1"
    assert main([str(folder), "--json"]) == 0
    assert [each["name"] for each in json.loads(capsys.readouterr().out)] == [
        "exported",
        "flow",
        "good",
    ]
