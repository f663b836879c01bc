"""The compiled prefilter under sanitizers: `make test-all`; see `kernel_fuzz.py`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.kernel_building import NoCompiler, build
from tests.unit.prefilters import STRICT

pytestmark = pytest.mark.slow

SECONDS = float(os.environ.get("LANDFALL_FUZZ_SECONDS", "30"))
SANITIZED = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def runtime() -> str:
    """Where the sanitizer's own library is, which has to be loaded before Python."""
    done = subprocess.run(
        ["cc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    )
    path = done.stdout.strip()
    if not Path(path).is_absolute():
        pytest.skip("the C compiler has no address sanitizer to preload")
    return path


@pytest.mark.timeout(SECONDS * 3 + 180)
@pytest.mark.parametrize("seed", [1, 2])
def test_no_read_or_write_out_of_bounds(seed: int, tmp_path: Path) -> None:
    """Damaged files in blocks of any size: no fault of memory, and the report that Polars makes."""
    try:
        library = build(tmp_path / "kernel.so", (*STRICT, *SANITIZED))
    except NoCompiler as error:
        pytest.skip(str(error))
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.kernel_fuzz", str(library), str(SECONDS), str(seed)],
        capture_output=True,
        text=True,
        check=False,
        # Python itself holds memory to its end, which is no leak of ours.
        env=os.environ | {"LD_PRELOAD": runtime(), "ASAN_OPTIONS": "detect_leaks=0"},
    )

    assert done.returncode == 0, done.stderr[-4000:]
    assert int(done.stdout.split()[0]) > SECONDS
