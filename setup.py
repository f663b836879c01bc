"""What pyproject.toml cannot say: the files of the app in the wheel.

`landfall up` and `landfall deploy` need the app, the jobs, the factory and the bundle. A wheel
carries them as data under `landfall/_app`; a checkout has them at its top level.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent
APP = (
    "function_app.py",
    "host.json",
    "requirements.txt",
    "local.settings.sample.json",
    "databricks.yml",
    "adf",
    "ingest",
    "marketplace",
    "resources",
    "spark_jobs",
)
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", "dist", "build", "*.egg-info")


class BuildWithApp(build_py):
    """Copies the app beside the packages."""

    def run(self) -> None:
        """Build, then add the app, unless the install is editable: that has the checkout."""
        super().run()
        if self.editable_mode:
            return
        package = Path(self.build_lib) / "landfall"
        for name in APP:
            source, target = HERE / name, package / "_app" / name
            if source.is_dir():
                shutil.copytree(source, target, dirs_exist_ok=True, ignore=LEFT_OUT)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)


setup(cmdclass={"build_py": BuildWithApp})
