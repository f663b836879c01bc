"""The `landfall` command.

Each subcommand is imported from the module in `_COMMANDS` on first use, so that `landfall validate`
starts without the HTTP client and `landfall runs` without the local cloud.

Exit codes: 0 done; 1 the data was refused or a run failed; 2 wrong usage or no connection.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import cast

import click

from landfall.cli import errors

_COMMANDS = {
    "up": "landfall.cli.cloud",
    "down": "landfall.cli.cloud",
    "open": "landfall.cli.console",
    "env": "landfall.cli.cloud",
    "demo": "landfall.cli.demo.command",
    "init": "landfall.cli.project",
    "lint": "landfall.cli.project",
    "drop": "landfall.cli.drop",
    "runs": "landfall.cli.runs",
    "where": "landfall.cli.runs",
    "show": "landfall.cli.runs",
    "report": "landfall.cli.runs",
    "watch": "landfall.cli.runs",
    "cancel": "landfall.cli.operations",
    "retry": "landfall.cli.operations",
    "replay": "landfall.cli.operations",
    "resend": "landfall.cli.operations",
    "forget": "landfall.cli.forget",
    "erasures": "landfall.cli.forget",
    "backlog": "landfall.cli.runs",
    "datasets": "landfall.cli.runs",
    "validate": "landfall.cli.validate",
    "contract": "landfall.cli.contract",
    "source": "landfall.cli.source",
    "gold": "landfall.cli.gold",
    "maintain": "landfall.cli.gold",
    "analytics": "landfall.cli.analytics",
    "deploy": "landfall.cli.deploy",
    "faults": "landfall.cli.faults",
}
_ATTRIBUTES = {"open": "open_"}
"""Commands whose name means something else in Python."""
_LONGEST = 300
"""Most characters of a command's summary."""


class _LazyGroup(click.Group):
    """A group whose commands are imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with their whole summaries: click cuts them to one line."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (name, command.get_short_help_str(_LONGEST))
                    for name, command in commands
                    if command
                ]
            )

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        try:
            module = importlib.import_module(_COMMANDS[cmd_name])
        except ModuleNotFoundError as error:
            return _not_installed(cmd_name, error)
        return cast("click.Command", getattr(module, _ATTRIBUTES.get(cmd_name, cmd_name)))


def _not_installed(command: str, error: ModuleNotFoundError) -> click.Command:
    """A command that says which extra it needs: the others and `--help` work without it."""
    extra = "cli,devcloud" if (error.name or "").startswith("devcloud") else "cli"
    need = f"needs {error.name}, which is not installed: pip install 'landfall[{extra}]'"

    @click.command(
        command,
        short_help=f"Not installed: needs landfall[{extra}].",
        context_settings={"ignore_unknown_options": True},
    )
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def refuse(arguments: tuple[str, ...]) -> None:  # noqa: ARG001 - whatever was asked
        raise errors.CliError(f"`landfall {command}` {need}")

    return refuse


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="A local cloud is found in ./.landfall, LANDFALL_HOME or --data; a deployed service by "
    "LANDFALL_URL, LANDFALL_KEY and, to upload, LANDFALL_LAKE. Completion in bash: "
    'eval "$(_LANDFALL_COMPLETE=bash_source landfall)"; zsh and fish alike.',
)
@click.version_option(package_name="landfall", message="landfall %(version)s")
def landfall() -> None:
    """Ingest files that land in a data lake into Delta tables, and see the state of each."""


def main() -> None:
    """Run the command line; every error ends in a message and an exit code."""
    try:
        code = landfall.main(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else "")
        code = errors.WRONG
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("landfall: interrupted", err=True)
        code = 130
    except BrokenPipeError:
        # The reader of the output closed it; nothing more may be flushed to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = errors.DONE
    except Exception as error:
        if os.environ.get("LANDFALL_DEBUG"):
            raise
        click.echo(f"landfall: {errors.describe(error)}", err=True)
        code = errors.WRONG
    sys.exit(code or errors.DONE)
