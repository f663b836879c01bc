"""A report in plain text, for terminals and logs."""

from ingest.validate.report import Check, Format, Report

_WORDS = {
    "accepted": "accepted",
    "accepted_with_rejects": "accepted, rejects split off",
    "refused": "refused",
}
EXPLAINED = {
    "encoding": "bytes that are not text",
    "enum": "not an allowed value",
    "exclusiveMaximum": "not below the upper bound",
    "exclusiveMinimum": "not above the lower bound",
    "fieldCount": "wrong number of fields",
    "foreignKey": "not found in the dataset that it refers to",
    "format": "not of the required form",
    "json": "not a JSON object",
    "maxLength": "too long",
    "maximum": "above the maximum",
    "minLength": "too short",
    "minimum": "below the minimum",
    "multipleOf": "not a multiple",
    "newline": "a carriage return alone",
    "pattern": "does not match the pattern",
    "quote": "a quote out of place",
    "required": "missing",
    "type": "not a value of the column's type",
    "nullValues": "missing",
    "missingValues": "missing, or a value that stands for it",
    "invalidValues": "not a valid value",
    "duplicateValues": "repeats an earlier value",
    "sql": "meets a condition that none may meet",
    "unique": "repeats an earlier record's key",
}
"""Rules in words."""
_SHOWN = 60


def render_text(report: Report) -> str:
    """The verdict first, then why, then each broken rule with sample lines; ends in a newline."""
    lines = [f"{report.name}: {_WORDS[report.verdict]}"]
    lines.append(
        f"  {report.rows:,} records, {report.accepted:,} accepted, {report.rejected:,} rejected"
        f"  ({format_words(report.format)}, {report.bytes:,} bytes, contract {report.dataset}"
        f" {report.contract_version})"
    )
    if report.problem is not None:
        where = "" if report.problem.line is None else f" (line {report.problem.line})"
        lines.append(f"  why:        {report.problem.reason}{where}")
        lines.append(f"  what to do: {report.problem.action}")
    if report.columns.extra:
        lines.append(f"  not loaded, not in the contract: {', '.join(report.columns.extra)}")
    if report.columns.reordered:
        lines.append("  columns stand in another order than in the contract; matched by name")
    if report.checks:
        lines.append("")
        width = max(len(_title(check)) for check in report.checks)
        lines.extend(
            f"  {_title(check):<{width}}  {check.failed:>9,}  {_samples(check)}"
            for check in report.checks
        )
    return "\n".join(lines) + "\n"


def _title(check: Check) -> str:
    what = EXPLAINED.get(check.rule, check.rule)
    return f"{check.column or 'whole record'}: {what} [{check.rule}]"


def _samples(check: Check) -> str:
    shown = []
    for sample in check.samples:
        value = "" if sample.value is None else f" {_short(sample.value)!r}"
        shown.append(f"line {sample.line}{value}")
    more = ", ..." if check.failed > len(check.samples) else ""
    return ", ".join(shown) + more


def _short(value: str) -> str:
    return value if len(value) <= _SHOWN else value[:_SHOWN] + "..."


def format_words(found: Format) -> str:
    """How a file is written, in a few words."""
    parts = [found.kind]
    if found.delimiter is not None and found.delimiter != ",":
        parts.append(f"delimited by {found.delimiter!r}")
    if found.encoding not in {None, "UTF-8"}:
        parts.append(str(found.encoding))
    if found.compression != "none":
        parts.append(found.compression)
    return " ".join(parts)
