"""The `bench` command: the group of all commands. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import Any

import click

from bench.commands import COMMANDS
from bench.doors import at
from bench.errors import BenchError, unknown
from bench.track.tracking_uri import without_secrets


class OneLine(click.Group):
    """The commands of the table; errors are one line and exit code 2."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        command: click.Command | None = at(COMMANDS[cmd_name]) if cmd_name in COMMANDS else None
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            raise unknown("command", args[0], COMMANDS)
        return super().resolve_command(ctx, args)

    def main(self, *args: Any, **extra: Any) -> Any:
        extra["standalone_mode"] = False
        extra.setdefault("prog_name", "bench")
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # a terminal may not know every letter
                stream.reconfigure(errors="backslashreplace")
        try:
            code = super().main(*args, **extra)
            sys.stdout.flush()
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
            _drop_output()
            sys.exit(0)
        except OSError as error:  # a full disk, a file that the system does not give
            where = error.filename if error.filename is not None else "while reading or writing"
            _fail(f"{os.fspath(where)!s}: {error.strerror or error}", 2)
        sys.exit(code if isinstance(code, int) else 0)


def _fail(text: str, code: int, where: str = "bench") -> None:
    try:
        sys.stdout.flush()
    except OSError:
        _drop_output()
    line = without_secrets(" ".join(text.split()))  # a URL may be given for anything
    click.echo(f"{where}: error: {line}", err=True)
    sys.exit(code)


def _drop_output() -> None:
    """What stdout did not take goes nowhere; else Python tries again at its end, and complains."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.group(cls=OneLine, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="diffusion-bench", prog_name="bench")
def main() -> None:
    """Which diffusion model is best on my data for my budget, and how sure can I be?"""
