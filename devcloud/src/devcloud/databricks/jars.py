"""The jars that Spark needs beside its own: Delta Lake, Azure's file system, PostgreSQL."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from devcloud.databricks.trust import trust_options
from devcloud.java import use_java

# Delta's own metadata drags in 33 jars, most of which pyspark ships already in newer versions.
# So each one that is really missing is named, and none is followed further.
MODULES = (
    "io.delta:delta-spark_4.1_2.13:4.4.0",
    "io.delta:delta-storage:4.4.0",
    "io.delta:delta-kernel-api:4.4.0",
    "io.delta:delta-kernel-defaults:4.4.0",
    "io.delta:delta-kernel-unitycatalog:4.4.0",
    "io.unitycatalog:unitycatalog-client:0.6.0",
    "io.unitycatalog:unitycatalog-hadoop:0.6.0",
    "com.fasterxml.jackson.datatype:jackson-datatype-jdk8:2.13.5",
    "org.apache.hadoop:hadoop-azure:3.4.2",
    "org.wildfly.openssl:wildfly-openssl:2.1.4.Final",
    "org.eclipse.jetty:jetty-util-ajax:9.4.57.v20241219",
    "org.eclipse.jetty:jetty-util:9.4.57.v20241219",
    "org.postgresql:postgresql:42.7.7",
)

# One resolver, with its built-in address: Ivy's own settings ask a second repository as well.
SETTINGS = """<ivysettings>
  <settings defaultResolver="central"/>
  <resolvers><ibiblio name="central" m2compatible="true"/></resolvers>
</ivysettings>
"""

# What a Java says behind a TLS-inspecting proxy whose certificate Python knows, but Java does not.
DISTRUST = "PKIX path building failed"


class JarsError(RuntimeError):
    """The jars are not in the cache and could not be fetched."""


def cache_folder() -> Path:
    """Where this user's jars and the Java wrapper are kept: `$XDG_CACHE_HOME/landfall`."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "landfall"


def resolve(cache: Path | None = None) -> list[Path]:
    """The jars of `MODULES`, fetched once and then read from the cache without a network.

    Two processes may call it at once: the first fetches, the second waits for it.

    Raises:
        JarsError: they could not be fetched; the message holds what Ivy said.
        JavaNotFoundError: Ivy needs Java too.
    """
    cache = (cache or cache_folder()) / "ivy"
    digest = hashlib.sha256("\n".join(MODULES).encode()).hexdigest()[:12]
    folder = cache / f"jars-{digest}"
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.is_dir():
                _fetch(cache, folder)
    return sorted(folder.glob("*.jar"))


def _fetch(cache: Path, folder: Path) -> None:
    java = use_java(cache.parent)
    with tempfile.TemporaryDirectory(dir=cache, prefix="fetch-") as name:
        work = Path(name)
        (work / "ivysettings.xml").write_text(SETTINGS)
        (work / "ivy.xml").write_text(_ivy_module())
        java_command = str(java.home / "bin" / "java")
        arguments = [
            "-cp", str(_ivy_jar()), "org.apache.ivy.Main",
            "-settings", str(work / "ivysettings.xml"), "-ivy", str(work / "ivy.xml"),
            "-cache", str(cache / "cache"), "-confs", "default", "-types", "jar", "bundle",
            "-retrieve", f"{work}/jars/[artifact]-[revision].[ext]",
        ]  # fmt: skip
        output = _run([java_command, *arguments])
        if DISTRUST in output:
            output = _run([java_command, *trust_options(os.environ, work), *arguments])
        fetched = sorted((work / "jars").glob("*.jar"))
        if len(fetched) != len(MODULES):
            raise JarsError(
                f"Only {len(fetched)} of the {len(MODULES)} jars that Spark needs could be "
                f"fetched. Is the Maven repository within reach? Ivy said:\n{output[-2000:]}",
            )
        shutil.move(work / "jars", folder)


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def _ivy_module() -> str:
    dependencies = "\n".join(
        f'<dependency org="{group}" name="{name}" rev="{version}" '
        'transitive="false" conf="default->master"/>'
        for group, name, version in (module.split(":") for module in MODULES)
    )
    return (
        '<ivy-module version="2.0"><info organisation="landfall" module="jars"/>'
        '<configurations><conf name="default"/></configurations>'
        f"<dependencies>{dependencies}</dependencies></ivy-module>"
    )


def _ivy_jar() -> Path:
    """Ivy itself, which pyspark ships."""
    spec = find_spec("pyspark")
    locations = spec.submodule_search_locations if spec else None
    jars = sorted(Path(locations[0], "jars").glob("ivy-*.jar")) if locations else []
    if not jars:
        raise JarsError("pyspark is not installed. Run `make setup`.")
    return jars[-1]


if __name__ == "__main__":
    for jar in resolve():
        sys.stdout.write(f"{jar}\n")
