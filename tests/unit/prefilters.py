"""Selects the prefilter for a test."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import pytest

from landfall.validation.prefilter import kernel
from landfall.validation.prefilter.kernel.library import Library, load
from landfall.validation.readers import plain
from tests.unit.kernel_building import NoCompiler, build

PREFILTERS = ("kernel", "polars", "none")
STRICT = ("-Wall", "-Wextra", "-Werror")


@cache
def built() -> Library | str:
    """Return the kernel built from its current sources, or why it cannot be built."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = build(Path(folder) / "kernel.so", STRICT)
        except NoCompiler as error:
            return str(error)
        library = load(path)
    assert library is not None
    return library


def use_prefilter(prefilter: str, patch: pytest.MonkeyPatch) -> None:
    """Use one of `PREFILTERS` for blocks of any size."""
    none = prefilter == "none"
    patch.setattr(plain, "SMALLEST", 1 << 30 if none else 0)
    patch.setattr(kernel, "SMALLEST", 1 << 30 if none else 0)
    patch.setenv(kernel.SWITCH, "on" if prefilter == "kernel" else "off")
    if prefilter == "kernel":
        library = built()
        if isinstance(library, str):
            pytest.skip(library)
        patch.setattr(kernel, "_load_kernel", lambda: library)
