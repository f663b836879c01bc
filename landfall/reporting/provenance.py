"""Where a validated file came from and whom to ask: what a page says of its run and contract."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from landfall.contract.model import Contract


@dataclass(frozen=True)
class Provenance:
    """Facts about the run of a report: pairs of a term and a text."""

    facts: tuple[tuple[str, str], ...] = ()


def provenance(run: Mapping[str, Any], contract: Contract | None) -> Provenance:
    """Return the facts of a run, as `GET /runs/{run_id}` shows it, and of its contract.

    Without a contract, which may be gone, only what the run's document says is told.
    """
    return Provenance(tuple((term, text) for term, text in _facts(run, contract) if text))


def _facts(run: Mapping[str, Any], contract: Contract | None) -> Iterator[tuple[str, str]]:
    verdict = run.get("verdict") or {}
    yield "Run", str(run["run_id"])
    yield "Delivered", f"{run['landed_at']} to {(run.get('source') or run)['path']}"
    yield "State", f"{run['state']}: {run['cause']}" if run.get("cause") else str(run["state"])
    yield "SHA-256", str(verdict.get("sha256") or "")
    yield "File now in", str(run.get("raw") or "")
    yield "Rejected records in", str(verdict.get("rejects") or "")
    if contract is not None:
        yield "Contract", f"{contract.dataset} {contract.version}, digest {contract.digest}"
        yield from contacts(contract)


def contacts(contract: Contract) -> Iterator[tuple[str, str]]:
    """Yield who owns a contract and where its support is, as the standard's fields say."""
    document = yaml.safe_load(contract.text)
    owners = [person for person in _people(document.get("team")) if person]
    if owners:
        yield "Owner", "; ".join(owners)
    support = [
        " ".join(str(entry[name]) for name in ("channel", "url") if entry.get(name))
        for entry in document.get("support") or ()
        if isinstance(entry, dict)
    ]
    if any(support):
        yield "Support", "; ".join(filter(None, support))


def _people(team: Any) -> Iterator[str]:
    """Yield the members of a team: a list in 3.0, an object with a name and members later."""
    members = team
    if isinstance(team, dict):
        yield str(team.get("name") or "")
        members = team.get("members")
    for member in members or ():
        if isinstance(member, dict):
            name = " ".join(str(member[f]) for f in ("name", "username") if member.get(f))
            role = f" ({member['role']})" if member.get("role") else ""
            yield f"{name}{role}" if name else ""
