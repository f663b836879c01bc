"""What the service and its worker tell each other about a task."""

from __future__ import annotations

from dataclasses import dataclass, field

JVM_ENDED = 70  # how a worker ends whose JVM did


@dataclass(frozen=True)
class TaskSpec:
    """What to run.

    Attributes:
        run_id: of the attempt.
        arguments: `sys.argv[1:]`.
        log: file that takes what the task prints.
        file: script to run as `__main__`; or else
        package, entry_point: distribution and the name of its entry point or function.
        paths: folders in front of `sys.path`; their modules are forgotten afterwards.
    """

    run_id: int
    arguments: list[str]
    log: str
    file: str = ""
    package: str = ""
    entry_point: str = ""
    paths: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class TaskOutcome:
    """How an attempt ended: "success", "failed", "cancelled" or "lost" (with its process)."""

    run_id: int
    kind: str
    error: str = ""
    trace: str = ""
