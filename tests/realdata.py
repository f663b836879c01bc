"""The published C2C tables, where somebody has put them beside the repository; never part of it."""

from pathlib import Path

_SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"

C2C: Path | None = _SHARED / "c2c" if (_SHARED / "c2c").is_dir() else None
ONLINE_RETAIL: Path | None = (
    _SHARED / "online-retail" if (_SHARED / "online-retail").is_dir() else None
)
