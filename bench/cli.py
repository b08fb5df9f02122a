"""The `bench` command: the group of all commands. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import sys
from typing import Any

import click

from bench.commands.calibrate_command import calibrate
from bench.commands.confirm_command import confirm
from bench.commands.data_command import data
from bench.commands.leaderboard_command import leaderboard
from bench.commands.list_command import list_sweeps
from bench.commands.resume_command import resume
from bench.commands.show_command import show
from bench.commands.smoke_command import smoke
from bench.commands.status_command import status
from bench.commands.sweep_command import sweep
from bench.commands.sync_command import sync
from bench.commands.ui_command import ui
from bench.errors import BenchError


class OneLine(click.Group):
    """A group whose errors are one line and exit code 2."""

    def main(self, *args: Any, **extra: Any) -> Any:
        extra["standalone_mode"] = False
        extra.setdefault("prog_name", "bench")
        try:
            code = super().main(*args, **extra)
        except BenchError as error:
            _fail(str(error), error.exit_code)
        except click.UsageError as error:
            where = error.ctx.command_path if error.ctx else "bench"
            _fail(f"{error.format_message()} (see {where} --help)", 2, where)
        except click.ClickException as error:
            _fail(error.format_message(), 2)
        except (click.Abort, KeyboardInterrupt):
            _fail("stopped", 130)
        except BrokenPipeError:  # `bench ... | head`
            sys.stderr.close()
            sys.exit(0)
        sys.exit(code if isinstance(code, int) else 0)


def _fail(text: str, code: int, where: str = "bench") -> None:
    click.echo(f"{where}: error: {' '.join(text.split())}", err=True)
    sys.exit(code)


@click.group(cls=OneLine, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="diffusion-bench", prog_name="bench")
def main() -> None:
    """Which diffusion model is best on my data for my budget, and how sure can I be?"""


for command in (
    sweep,
    resume,
    confirm,
    calibrate,
    list_sweeps,
    status,
    leaderboard,
    show,
    data,
    ui,
    sync,
    smoke,
):
    main.add_command(command)
