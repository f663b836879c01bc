"""Who may import whom. The walls are data; a new import across one fails here."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
OURS = ("ingest", "devcloud", "cli", "deploy", "marketplace", "spark_jobs", "function_app", "tests")
SDKS = ("azure", "azurefunctions", "databricks", "pyspark")
PURE = (
    "errors",
    "states",
    "paths",
    "run",
    "run_document",
    "batching",
    "backlog",
    "messages",
    "ports",
    "contracts",
    "contract",
    "settings",
    "validate",
)


def modules(*places: str) -> Iterator[Path]:
    """The Python files of rooms, given as folders or files."""
    for place in places:
        path = REPOSITORY / place
        yield from path.rglob("*.py") if path.is_dir() else [path.with_suffix(".py")]


def imported(path: Path) -> set[str]:
    """All modules that a file names in imports, wherever in it they stand."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def crossings(places: tuple[str, ...], forbidden: tuple[str, ...]) -> list[str]:
    """Imports in these rooms of anything in those."""
    return [
        f"{path.relative_to(REPOSITORY)} imports {name}"
        for path in modules(*places)
        for name in sorted(imported(path))
        if any(name == wall or name.startswith(f"{wall}.") for wall in forbidden)
    ]


def all_but(*allowed: str) -> tuple[str, ...]:
    """Our rooms without those named."""
    return tuple(room for room in OURS if room not in allowed)


@pytest.mark.parametrize(
    ("room", "may"),
    [
        ("ingest", ("ingest",)),
        ("function_app", ("ingest",)),
        ("deploy", ("deploy", "ingest")),
        ("spark_jobs", ("spark_jobs",)),
        ("marketplace", ("marketplace",)),
        ("devcloud", ("devcloud",)),
        ("cli", all_but("tests")),
    ],
)
def test_a_room_imports_only_the_rooms_it_may(room: str, may: tuple[str, ...]) -> None:
    """The product never imports the local cloud, and the jobs import nothing of ours."""
    assert crossings((room,), all_but(*may)) == []


def test_the_product_keeps_sdks_in_one_room() -> None:
    """In `ingest`, only `ingest.azure` imports Azure's and Databricks' SDKs."""
    rooms = tuple(
        f"ingest/{path.name}"
        for path in (REPOSITORY / "ingest").iterdir()
        if path.name not in ("azure", "__pycache__")
    )
    assert crossings(rooms, SDKS) == []


def test_pure_modules_import_no_stage() -> None:
    """What is pure stays pure: it may import other pure modules, and no stage or edge."""
    stages = {p.stem for p in (REPOSITORY / "ingest").iterdir()} - {*PURE, "__init__"}
    places = tuple(f"ingest/{name}" for name in PURE if _exists(name))
    assert crossings(places, tuple(f"ingest.{name}" for name in stages)) == []


def test_nothing_is_called_utils() -> None:
    """A drawer for everything is no room."""
    named = [path for room in OURS for path in modules(room) if "util" in path.stem]
    assert named == []


def _exists(name: str) -> bool:
    place = REPOSITORY / "ingest" / name
    return place.is_dir() or place.with_suffix(".py").exists()
