"""Which pipelines of a folder the local data factory would accept, and why not the others.

    python -m devcloud.datafactory.compatibility FOLDER [--json]

It reads the files that Data Factory Studio commits to Git, and the templates that it exports.
A definition is checked as a PUT checks it, but for what it refers to: datasets, linked services
and pipelines need not be in the folder. Nothing is deployed and nothing runs.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from devcloud.datafactory.azure_error import AzureError
from devcloud.datafactory.check_pipeline import pipeline as check_pipeline

_PIPELINE = "/pipelines"
_PARAMETER = re.compile(r"parameters\('([^']+)'\)")
_TEXT = re.compile(r"'((?:[^']|'')*)'")
_LISTS = re.compile(r"; it knows .*|(?<=one of )[(\[].*", re.DOTALL)


@dataclass(frozen=True)
class CheckedPipeline:
    """One pipeline.

    Attributes:
        file: where it stands, relative to the folder.
        name: of the pipeline.
        refusal: why a PUT would be refused; None where it would be accepted.
    """

    file: str
    name: str
    refusal: str | None

    @property
    def reason(self) -> str | None:
        """The refusal without the place in the pipeline, to count by."""
        if self.refusal is None:
            return None
        _, colon, what = self.refusal.partition(": ")
        return _LISTS.sub("", what if colon else self.refusal).strip()


def check_folder(folder: Path) -> list[CheckedPipeline]:
    """All pipelines in the JSON files of a folder and those below, in the order of their paths."""
    checked = []
    for file in sorted(folder.rglob("*.json")):
        for name, properties in pipelines_of(file):
            checked.append(
                CheckedPipeline(str(file.relative_to(folder)), name, _refusal(properties))
            )
    return checked


def pipelines_of(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The pipelines of a file, as name and properties; none of a file that is something else."""
    try:
        document = json.loads(file.read_text("utf-8-sig"))
    except (ValueError, OSError):
        return
    if not isinstance(document, dict):
        return
    properties = document.get("properties")
    if isinstance(properties, dict) and "activities" in properties:
        yield str(document.get("name", file.stem)), properties
    resources = document.get("resources")
    if not isinstance(resources, list):
        return
    for resource in resources:
        kind = str(resource.get("type", "")) if isinstance(resource, dict) else ""
        if kind.lower().endswith(_PIPELINE) and isinstance(resource.get("properties"), dict):
            parameters = document.get("parameters") or {}
            name = str(_filled(resource.get("name", ""), parameters)).rpartition("/")[2]
            yield name, _filled(resource["properties"], parameters)


def _filled(value: Any, parameters: dict[str, Any]) -> Any:
    """A value of a template with the defaults of its parameters, or `x`, in their places."""
    if isinstance(value, dict):
        return {key: _filled(item, parameters) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, parameters) for item in value]
    if isinstance(value, str) and value.startswith("["):
        return _template_text(value, parameters)
    return value


def _template_text(value: str, parameters: dict[str, Any]) -> Any:
    if value.startswith("[[") or not value.endswith("]"):
        return value.replace("[[", "[", 1)
    whole = _PARAMETER.fullmatch(value[1:-1].strip())
    if whole:
        return (parameters.get(whole[1]) or {}).get("defaultValue", "x")
    texts = _TEXT.findall(_PARAMETER.sub("'x'", value))
    return "".join(text.replace("''", "'") for text in texts)


def _refusal(properties: dict[str, Any]) -> str | None:
    try:
        for _ in check_pipeline(properties):
            pass
    except AzureError as error:
        return error.message
    return None


def main(arguments: list[str] | None = None) -> int:
    """Check the folder that the command line names and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m devcloud.datafactory.compatibility")
    parser.add_argument("folder", type=Path, help="with files of Git, or exported templates")
    parser.add_argument("--json", action="store_true", help="one JSON array of all pipelines")
    options = parser.parse_args(arguments)
    if not options.folder.is_dir():
        parser.error(f"{options.folder} is not a folder")
    checked = check_folder(options.folder)
    text = json.dumps([asdict(each) for each in checked], indent=1)
    print(text if options.json else _report(checked))  # noqa: T201 - a command line prints
    return 0


def _report(checked: list[CheckedPipeline]) -> str:
    lines = [
        f"{each.file}: {each.name}: "
        + ("accepted" if each.refusal is None else f"refused: {each.refusal}")
        for each in checked
    ]
    reasons = Counter(each.reason for each in checked if each.reason is not None)
    accepted = len(checked) - reasons.total()
    lines += ["", f"{accepted} of {len(checked)} pipelines accepted"]
    lines += [f"{count:5}  {reason}" for reason, count in reasons.most_common()]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
