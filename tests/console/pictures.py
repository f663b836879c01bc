"""Takes the pictures of the documentation in Chromium, of a console over a seeded cloud.

python -m tests.console.pictures [FOLDER]      (make pictures)
"""

from __future__ import annotations

import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import ViewportSize, sync_playwright

from landfall.console_links import token
from tests.console import seeded
from tests.ingest.conftest import REPOSITORY

CHROMIUM = "/usr/bin/chromium"
SIZE: ViewportSize = {"width": 1280, "height": 860}


def main(folder: Path) -> None:
    """Write one picture a page."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as root,
        seeded.cloud(Path(root), days=75, strange=False) as (config, named),
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        url = f"{config.url('functions')}/console/"
        pages = {
            "console": "",
            "console-run": f"runs/{named['users-wrong-export.csv']}",
            "console-dataset": "datasets/interactions",
        }
        page = browser.new_context(viewport=SIZE).new_page()
        until = datetime.now(UTC) + timedelta(minutes=5)
        page.goto(f"{url}signin?token={token(seeded.KEY, 'link', 'ada', 'Operator', until)}")
        for name, path in pages.items():
            page.goto(f"{url}{path}")
            page.screenshot(path=folder / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else REPOSITORY / "docs" / "images")
