"""Where the first of equal keys stands: a rejected record is the later one, and names the first.

While a file is validated only the keys are kept, not their lines, so that any number of records
fits into memory. The few repeated keys that a report shows are looked up here, in a second pass
that ends with the last of them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace
from itertools import islice

from landfall.contract.model import Contract
from landfall.validation.batches import Reader, regular
from landfall.validation.columns import Cells, Key
from landfall.validation.problems import Refusal
from landfall.validation.readers.choice import reader_of
from landfall.validation.readers.opening import open_stream
from landfall.validation.report import Check, Report, Sample
from landfall.validation.streams import ByteSource

MOST_RECORDS = 200_000
"""Records of the file's beginning whose keys are looked up."""
_AT_ONCE = 20_000


def with_first_lines(
    report: Report,
    contract: Contract,
    source: ByteSource,
    *,
    name: str,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Report:
    """Return the report with the line of the first equal key at each sample of a repeated one.

    `source` and `name` are those by which the file was validated; `on_progress` is called while it
    is read. What is beyond `MOST_RECORDS` stays without.
    """
    keys = _keys(contract)
    repeated = [check for check in report.checks if (check.rule, check.column) in keys]
    wanted = {check: keys[check.rule, check.column] for check in repeated}
    if not wanted:
        return report
    stream = source.stream()
    try:
        reader = reader_of(open_stream(stream, name, contract.hints, source), contract, source)
        reader.start()
        found = _found(reader, contract, wanted, on_progress)
    except Refusal:  # the file is refused after its first records: then these stay without
        return report
    finally:
        close = getattr(stream, "close", None)
        if close is not None:
            close()
    checks = tuple(_located(check, found.get(check, {})) for check in report.checks)
    return replace(report, checks=checks)


def _keys(contract: Contract) -> dict[tuple[str, str | None], tuple[str, ...]]:
    """Return the columns of each key by the rule and the column that its faults have."""
    unique = [(column.name,) for column in contract.columns if column.unique]
    keys: dict[tuple[str, str | None], tuple[str, ...]] = {
        ("unique", ",".join(names)): names for names in (*unique, contract.key) if names
    }
    for rule in contract.rules:
        if rule.kind == "duplicates" and rule.per_record:
            keys[rule.name, ",".join(rule.key)] = rule.key
    return keys


def _found(
    reader: Reader,
    contract: Contract,
    wanted: dict[Check, tuple[str, ...]],
    on_progress: Callable[[int], None],
) -> dict[Check, dict[int, int]]:
    """Return for each check the line of the first equal key by the line of the later one."""
    at = {name: index for index, name in enumerate(reader.names)}
    evolve = reader.mixed or contract.drift.changed == "evolve"
    cells = {
        name: Cells(contract.column(name), at.get(name), typed=reader.typed, evolve=evolve)
        for names in wanted.values()
        for name in names
    }
    keys = {check: Key([cells[name] for name in names]) for check, names in wanted.items()}
    first: dict[Check, dict[Hashable, int]] = {check: {} for check in wanted}
    found: dict[Check, dict[int, int]] = {check: {} for check in wanted}
    lines = {check: {sample.line for sample in check.samples} for check in wanted}
    last = max(line for some in lines.values() for line in some)
    seen = 0
    for batch in reader.batches():
        rows, whole = batch.rows, regular(batch, len(at))
        for start in range(0, len(whole), _AT_ONCE):
            piece = list(islice(whole, start, start + _AT_ONCE))
            table = list(zip(*(rows[index] for index in piece), strict=True))
            numbers = [batch.line(index) for index in piece]
            for check, key in keys.items():
                for line, value in zip(numbers, key.of_table(table), strict=True):
                    if value is not None:
                        earlier = first[check].setdefault(value, line)
                        if line in lines[check]:
                            found[check][line] = earlier
            seen += len(piece)
            on_progress(seen)
            if seen >= MOST_RECORDS or numbers[-1] >= last:
                return found
    return found


def _located(check: Check, found: dict[int, int]) -> Check:
    def sample(one: Sample) -> Sample:
        earlier = found.get(one.line)
        return one if earlier is None or earlier == one.line else replace(one, first=earlier)

    return replace(check, samples=tuple(map(sample, check.samples))) if found else check
