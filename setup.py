"""What pyproject.toml cannot say: the files of the app in the wheel, and the compiled kernel.

`landfall up` and `landfall deploy` need the app, the jobs, the factory and the bundle. A wheel
carries them as data under `landfall/_app`; a checkout has them at its top level.

The kernel is a shared library that `ctypes` loads: it uses nothing of Python's, so one file serves
every version. It is optional: without a compiler the package is built without it.
"""

from __future__ import annotations

import runpy
import shutil
import sys
from pathlib import Path

from setuptools import Extension, setup
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
KERNEL = Path("landfall/validation/prefilter/kernel")


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


def kernel() -> Extension:
    """The compiled prefilter; it knows the hash of its sources, by which a stale one is found."""
    # By its path: a build imports nothing of the checkout.
    digest = runpy.run_path(str(HERE / KERNEL / "sources.py"))["sources_hash"]()
    return Extension(
        "landfall.validation.prefilter.kernel._kernel",
        sources=sorted(str(path.relative_to(HERE)) for path in (HERE / KERNEL).glob("*.c")),
        depends=sorted(str(path.relative_to(HERE)) for path in (HERE / KERNEL).glob("*.h")),
        define_macros=[("BUILT_FROM", f'"{digest}"')],
        extra_compile_args=["-std=c11", "-O3", "-fvisibility=hidden"],
        libraries=["m"],
        optional=True,
        py_limited_api=True,
    )


setup(
    cmdclass={"build_py": BuildWithApp},
    # Its C files need POSIX: on Windows Polars prefilters.
    ext_modules=[] if sys.platform == "win32" else [kernel()],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
