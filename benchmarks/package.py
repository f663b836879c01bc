"""What a deployment to Azure uploads, and how long a fresh worker takes: `make package`.

`azd` and `func` pack what `.funcignore` leaves. The start is measured on an unpacked copy in a new
process: import and indexing of the app, then the first call, which reads settings and contracts.
Downloading and mounting in Azure comes on top, and is not measured here.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pathspec

ROOT = Path(__file__).resolve().parents[1]
ROUNDS = 5
SETTINGS = {
    "LANDFALL_LAKE__blobServiceUri": "https://landfall.blob.core.windows.net",
    "LANDFALL_LAKE__queueServiceUri": "https://landfall.queue.core.windows.net",
    "LANDFALL_ADF_SUBSCRIPTION": "00000000-0000-0000-0000-000000000000",
    "LANDFALL_ADF_RESOURCE_GROUP": "landfall",
    "LANDFALL_ADF_FACTORY": "landfall",
    "DATABRICKS_HOST": "https://landfall.azuredatabricks.net",
    "LANDFALL_TICK": "0 * * * * *",
}
START = """
import time
begin = time.perf_counter()
import function_app
functions = function_app.app.get_functions()
indexed = time.perf_counter()
from ingest import wiring
wiring.service()
print(indexed - begin, time.perf_counter() - indexed, len(functions))
"""


def packed_files(root: Path = ROOT) -> list[Path]:
    """Return the files that are deployed, relative and sorted."""
    ignored = pathspec.PathSpec.from_lines(
        "gitignore", (root / ".funcignore").read_text().splitlines()
    )
    kept: list[Path] = []
    for folder, names, files in os.walk(root):
        here = Path(folder).relative_to(root)
        names[:] = [name for name in names if not ignored.match_file(f"{here / name}/")]
        kept += [here / name for name in files if not ignored.match_file(str(here / name))]
    return sorted(kept)


def pack(target: Path, root: Path = ROOT) -> None:
    """Write the package as a zip file."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in packed_files(root):
            archive.write(root / path, path)


def starts(folder: Path, rounds: int = ROUNDS) -> list[tuple[float, float, int]]:
    """Return seconds of indexing and of the first call, and the number of functions, per start."""
    measured = []
    for _ in range(rounds):
        done = subprocess.run(
            [sys.executable, "-c", START],
            cwd=folder,
            env={"PATH": os.environ["PATH"], **SETTINGS},
            capture_output=True,
            text=True,
            check=True,
        )
        indexed, called, count = done.stdout.split()
        measured.append((float(indexed), float(called), int(count)))
    return measured


def main() -> None:
    """Print size and start."""
    files = packed_files()
    size = sum((ROOT / path).stat().st_size for path in files)
    with tempfile.TemporaryDirectory() as name:
        archive, folder = Path(name) / "package.zip", Path(name) / "app"
        pack(archive)
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(folder)
        measured = starts(folder)
        zipped = archive.stat().st_size
    indexing = statistics.median(each[0] for each in measured)
    calling = statistics.median(each[1] for each in measured)
    print(f"{len(files)} files, {size / 1024:.0f} KB, {zipped / 1024:.0f} KB zipped")
    print(f"{measured[0][2]} functions indexed in {indexing:.2f} s (median of {ROUNDS} processes)")
    print(f"first call ready after {calling:.2f} s more")


if __name__ == "__main__":
    main()
