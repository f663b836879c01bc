"""`landfall init`: a folder for contracts, gold tables and sources; `landfall lint`: checks it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from landfall.cli.errors import REFUSED, CliError
from landfall.cli.target import json_option, project_folder

README = """# {name}

The datasets of one team, ingested by Landfall.

| folder | what | how it is taken |
|---|---|---|
| `contracts/` | one `<dataset>.odcs.yaml` a dataset | while the service runs |
| `gold/` | one `<table>.sql` a gold table | by the next load of what it reads |
| `sources/` | databases and APIs that data is extracted from | by `landfall deploy sources` |

From a file to its table:

```bash
landfall contract infer FILE --dataset NAME --out contracts/NAME.odcs.yaml   # then read and edit it
landfall lint .
landfall up --project . --detach
landfall drop FILE --dataset NAME --wait
landfall gold TABLE
```

A gold table is a SELECT over silver, such as `gold/rides_by_borough.sql`:

```sql
SELECT borough, count(*) AS rides FROM silver_rides GROUP BY borough
```
"""
_FOLDERS = ("contracts", "gold", "sources")


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@json_option
def init(folder: Path, *, as_json: bool) -> None:
    """Make DIR a project: folders for contracts, gold tables and sources, and a README.

    What is there already is left as it is.
    """
    made = []
    try:
        for name in _FOLDERS:
            if not (folder / name).is_dir():
                (folder / name).mkdir(parents=True)
                (folder / name / ".gitkeep").touch()
                made.append(f"{name}/")
        for name, text in (
            ("README.md", README.format(name=folder.resolve().name)),
            (".gitignore", ".landfall/\n"),
        ):
            if not (folder / name).exists():
                (folder / name).write_text(text, encoding="utf-8")
                made.append(name)
    except OSError as error:
        raise CliError(f"cannot make {folder} a project: {error}") from None
    if as_json:
        click.echo(json.dumps({"project": str(folder.resolve()), "made": made}))
        return
    click.echo(f"{folder} is a project: {', '.join(made) or 'all was there already'}")
    click.echo(f"next: landfall contract infer FILE -o {folder}/contracts/NAME.odcs.yaml")
    click.echo(f"then: landfall up --project {folder}")


@click.command()
@click.argument(
    "folder",
    metavar="[DIR]",
    required=False,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
@json_option
def lint(folder: Path | None, *, as_json: bool) -> None:
    """Check all of a project: contracts, gold tables, and what they say of each other.

    Without DIR the project that the local cloud serves. Exits with 1 if a file is wrong.
    """
    from landfall.authoring.project import check  # noqa: PLC0415 - its model is slow to import

    project = project_folder(folder)
    try:
        findings = check(project)
    except OSError as error:
        raise CliError(f"{project} is not a project: {error}") from None
    wrong = [finding for finding in findings if finding.wrong]
    if as_json:
        listed = [finding.to_dict() for finding in findings]
        click.echo(json.dumps({"project": str(project), "good": not wrong, "findings": listed}))
    else:
        for finding in findings:
            click.echo(str(finding))
        click.echo(f"{project}: {len(wrong)} wrong" if wrong else f"{project}: good")
    if wrong:
        raise click.exceptions.Exit(REFUSED)
