"""The examples of README, tutorial and how-tos, run in order against a real local cloud."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.docs import pages
from tests.docs.pages import ROOT, Example

pytestmark = [pytest.mark.spark, pytest.mark.timeout(900)]

BETWEEN = "-----8<-----"
SLOW = [ROOT / "README.md", *sorted((ROOT / "docs/how-to").glob("*.md"))]
PAGES = [ROOT / "docs/tutorial.md", *(pytest.param(page, marks=pytest.mark.slow) for page in SLOW)]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A working folder with what the examples need; no local cloud is left running in it."""
    (tmp_path / "marketplace").symlink_to(ROOT / "marketplace")
    (tmp_path / ".venv").symlink_to(sys.prefix)
    try:
        yield tmp_path
    finally:
        for config in tmp_path.glob("*/devcloud.json"):
            _bash(f"landfall down --data '{config.parent}'", tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_do_what_the_page_says(page: Path, folder: Path) -> None:
    """Each block ends with the code it should, and prints the lines that the page shows."""
    examples = pages.examples(page)
    if not examples:
        pytest.skip("nothing in it can be run here")
    done = _bash(_script(page, examples), folder)
    assert done.returncode == 0, f"{done.stdout[-6000:]}"
    printed = done.stdout.split(BETWEEN)[1:]
    missing = [
        f"{page.name}:{example.block.line}: {promise}"
        for example, output in zip(examples, printed, strict=True)
        for promise in example.prints
        if promise not in pages.constant(output)
    ]
    assert missing == [], done.stdout[-6000:]


def _script(page: Path, examples: Sequence[Example]) -> str:
    lines = ["set -u -o pipefail"]
    for example in examples:
        block, text = example.block, example.block.text
        if block.language == "python":
            text = f"python - <<'END_OF_EXAMPLE'\n{text}END_OF_EXAMPLE\n"
        lines += [f"echo '{BETWEEN}'", f"trap 'echo {page.name}:{block.line} failed' EXIT"]
        if block.exit_code:
            lines.append(f"{text}[ $? = {block.exit_code} ] || exit 1")
        else:
            lines.append(f"set -e\n{text}set +e")
    return "\n".join([*lines, "trap - EXIT"]) + "\n"


def _bash(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("LANDFALL_", "AZURE_"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=kept | {"PATH": path, "COLUMNS": "100"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        check=False,
        timeout=840,
    )
