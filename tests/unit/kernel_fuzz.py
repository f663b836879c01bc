"""Fuzzes the kernel under sanitizers; `test_kernel_fuzz.py` runs it in a separate process.

    python -m tests.unit.kernel_fuzz LIBRARY SECONDS [SEED]

Draws contracts and files, damages them, and compares the results of the kernel, of Polars and of
the record validator alone. Prints the number of files; a memory error ends the process.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path
from typing import Any

from landfall.validation.prefilter.kernel.library import load
from landfall.validation.readers import delimited
from tests.unit import prefilters
from tests.unit.test_kernel import (
    CELLS,
    CLEANED,
    CLOCKS,
    DAYS,
    DIRT,
    MANY,
    MOMENTS,
    ZONES,
    assert_same_results,
    many_records,
    needs_quotes,
    quoted,
    validate_with,
)
from tests.unit.test_validate_fuzz import contract_of

KINDS: list[dict[str, Any]] = [
    {"logicalType": "integer"},
    {"logicalType": "integer", "required": True, "unique": True},
    {"logicalType": "integer", "logicalTypeOptions": {"format": "i8", "minimum": -3}},
    {"logicalType": "integer", "enum": [{"value": 1}, {"value": -7}]},
    {"logicalType": "number"},
    {"logicalType": "number", "logicalTypeOptions": {"exclusiveMinimum": 0, "maximum": 128}},
    {"logicalType": "number", "logicalTypeOptions": {"multipleOf": 0.5}},
    {"logicalType": "string"},
    {"logicalType": "string", "required": True},
    {"logicalType": "string", "logicalTypeOptions": {"minLength": 2, "maxLength": 20}},
    {"logicalType": "string", "logicalTypeOptions": {"pattern": "[a-z]"}},
    {"logicalType": "string", "unique": True, "classification": "personal"},
    {"logicalType": "boolean"},
    *MOMENTS,
    *CLEANED,
]
BITS = [b"", b'"', b'""', b",", b"\n", b"\r", b"\r\n", b"\0", b"\xff", b"\xed\xa0\x80", b"9" * 30]
BITS += [b"x" * 70, b'"' * 65, b"\xf0\x9f\x98\x80", b"\xe2\x82", b"," * 64]


def file_of(chance: random.Random, width: int) -> bytes:
    """Return some records, most of them well-formed, with random damage."""
    cells = chance.sample(CELLS, chance.randrange(2, len(CELLS)))
    for _ in range(9):
        cells.append(chance.choice(DAYS) + chance.choice("T ") + chance.choice(CLOCKS))
        cells.append(cells[-1] + chance.choice(ZONES))
    cells += [*DAYS, *CLOCKS]
    cells += chance.sample(DIRT, chance.randrange(len(DIRT)))
    lines = [",".join(f"c{at}" for at in range(width))]
    for _ in range(chance.choice([0, 1, 5, 60, 400])):
        fields = width if chance.random() < 0.95 else chance.randrange(1, width + 3)
        row = [chance.choice(cells) for _ in range(fields)]
        if chance.random() < 0.5:
            row[0] = str(chance.randrange(-500, 5000))
        always = chance.random() < 0.2
        lines.append(
            ",".join(quoted(cell) if always or needs_quotes(cell) else cell for cell in row)
        )
    data = chance.choice(["\n", "\r\n"]).join(lines).encode()
    if chance.random() < 0.5:
        data += b"\n"
    for _ in range(chance.choice([0, 0, 1, 3, 9])):
        at = chance.randrange(len(lines[0]), len(data) + 1)
        kept = at + chance.choice([0, 0, 1, 5, 200])
        data = data[:at] + chance.choice(BITS) + data[kept:]
    return data


def main() -> None:
    """Run until the time is over."""
    path, seconds = Path(sys.argv[1]), float(sys.argv[2])
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    library = load(path)
    if library is None:
        sys.exit(f"{path} cannot be loaded")
    prefilters.built = lambda: library  # type: ignore[assignment]
    chance = random.Random(seed)  # noqa: S311 - test data
    until, files = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        delimited.BLOCK = chance.choice([1, 300, 5000, 2 << 20])
        if chance.random() < 0.02:
            contract, data = (
                MANY,
                many_records(chance.randrange(6000, 9000), chance.randrange(10**9)),
            )
        else:
            width = chance.randrange(2, 8)
            columns = [dict(chance.choice(KINDS)) for _ in range(width)]
            for at in range(chance.choice([0, 0, 1, 2])):
                columns[at] |= {"primaryKey": True, "primaryKeyPosition": at + 1}
            contract, data = contract_of(columns), file_of(chance, width)
        chunk = chance.choice([1 << 20, 1 << 20, 97])
        try:
            kernel_result, polars_result, _ = (
                validate_with(data, contract, prefilter, chunk)
                for prefilter in prefilters.PREFILTERS
            )
            assert_same_results(kernel_result, polars_result)
        except BaseException:
            path.with_name("failed.csv").write_bytes(data)
            sys.stderr.write(f"file {files} of seed {seed}: {contract}\n")
            raise
        files += 1
    sys.stdout.write(f"{files} files\n")


if __name__ == "__main__":
    main()
