"""What waits, and for what: the active runs counted by dataset and state. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ingest.runs.document import Listed
from ingest.stages.load.batching import Limits, choose
from landfall.protocol import State


@dataclass(frozen=True)
class Caps:
    """What may be under way at once."""

    copies: int
    loads: int


@dataclass(frozen=True)
class Backlog:
    """The active runs, as one list showed them.

    `limits` has the datasets whose contracts are deployed, `blocked` the loads that wait for a
    person, `set_aside` the documents that cannot be read.
    """

    runs: tuple[Listed, ...]
    limits: Mapping[str, Limits]
    caps: Caps
    now: datetime
    blocked: Mapping[str, str] = field(default_factory=dict)
    set_aside: Mapping[str, str] = field(default_factory=dict)

    @property
    def loading(self) -> set[str]:
        """The datasets whose batch is being loaded."""
        return {run.dataset for run in self.runs if run.state is State.LOADING}

    def count(self, state: State) -> int:
        """How many runs are in a state."""
        return sum(run.state is state for run in self.runs)

    def waits(self, dataset: str, state: State) -> str | None:
        """What the runs of a dataset in a state wait for; None where they are being worked on."""
        if why := self._person(dataset, state):
            return why
        if state is State.VALIDATED:
            copies = self.count(State.COPYING)
            return f"for a copy: {copies} are under way, {self.caps.copies} may be at once"
        if state is not State.COPIED:
            return None
        if dataset in self.loading:
            return "for the load of the batch before it"
        limits = self.limits.get(dataset, Limits())
        choice = choose(self.runs, dataset, limits, self.caps.loads, self.now)
        return choice.waits or "for the next tick"

    def _person(self, dataset: str, state: State) -> str | None:
        """What the runs of a dataset in a state wait for that a person has to do."""
        if state is State.LOADING and dataset in self.blocked:
            return self.blocked[dataset]
        causes = [
            str(run.steering["blocked"])
            for run in self.runs
            if run.dataset == dataset and run.state is state and run.steering.get("blocked")
        ]
        if causes:
            return causes[0]
        if state is State.COPIED and dataset not in self.limits:
            return f"no contract of dataset {dataset} is deployed: they wait until there is one"
        return None

    def document(self) -> dict[str, Any]:
        """The answer of `GET /backlog`."""
        copied = {run.dataset for run in self.runs if run.state is State.COPIED}
        return {
            "copies": {
                "under_way": self.count(State.COPYING),
                "at_once": self.caps.copies,
                "waiting": self.count(State.VALIDATED),
            },
            "loads": {
                "under_way": len(self.loading),
                "at_once": self.caps.loads,
                "waiting": len(copied - self.loading),
            },
            "datasets": [
                self._dataset(name) for name in sorted({run.dataset for run in self.runs})
            ],
            "set_aside": [
                {"path": path, "why": why} for path, why in sorted(self.set_aside.items())
            ],
        }

    def _dataset(self, name: str) -> dict[str, Any]:
        mine = [run for run in self.runs if run.dataset == name]
        states = Counter(run.state.value for run in mine)
        oldest = min(mine, key=lambda run: run.run_id)
        waits = {state: self.waits(name, State(state)) for state in states}
        return {
            "dataset": name,
            "active": len(mine),
            "states": {state.value: states[state.value] for state in State if state in states},
            "oldest": {"run_id": oldest.run_id, "landed_at": oldest.summary["landed_at"]},
            "waits": {state: why for state, why in waits.items() if why},
        }
