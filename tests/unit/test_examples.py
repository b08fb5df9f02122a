"""The commands that the README and the examples tell users to type exist, with these options."""

from __future__ import annotations

import importlib
import re
import shlex
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from bench.cli import main

ROOT = Path(__file__).parents[2]
SLURM = ROOT / "examples/slurm/sweep.sbatch"
KUBERAY = ROOT / "examples/kuberay/sweep.yaml"
RECIPE = ROOT / "examples/ray_start/README.md"


COMMAND = r"(?:^|\s)bench((?:\s+\S+)+)"


def commands_in(text: str) -> list[str]:
    """The commands in shell text: what follows `bench` as a word, up to the line's end."""
    lines = [line.partition("#")[0] for line in text.replace("\\\n", " ").splitlines()]
    parts = [part for line in lines for part in re.split(r"\|\||;|'", line)]
    return [match[1] for part in parts if (match := re.search(COMMAND, part))]


def fenced(markdown: str) -> str:
    return "\n".join(re.findall(r"```sh\n(.*?)```", markdown, re.DOTALL))


def check(command: str) -> None:
    """Parsed down to the last option, not run."""
    args = shlex.split(command)
    group: click.Command = main
    parent: click.Context | None = None
    while isinstance(group, click.Group):
        parent = click.Context(group, parent=parent, info_name="bench")
        name, command_or_group, args = group.resolve_command(parent, args)
        assert command_or_group is not None, (command, name)
        group = command_or_group
    group.make_context("bench", args, parent=parent)


def entrypoint() -> dict[str, Any]:
    body: dict[str, Any] = yaml.safe_load(KUBERAY.read_text())["spec"]
    return body


COMMANDS = [
    *commands_in(fenced((ROOT / "README.md").read_text())),
    *commands_in(fenced(RECIPE.read_text())),
    *commands_in(entrypoint()["entrypoint"]),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_what_users_are_told_to_type_is_understood(command: str) -> None:
    check(command)


STRESS = re.findall(r"python -m (tests\.\S+)([^#\n]*)", fenced((ROOT / "README.md").read_text()))


@pytest.mark.parametrize(("name", "args"), STRESS)
def test_what_users_are_told_to_stress_is_understood(name: str, args: str) -> None:
    package = (ROOT / name.replace(".", "/")).is_dir()
    module = importlib.import_module(f"{name}.__main__" if package else name)
    module.main.make_context(name, shlex.split(args))


def test_enough_of_them_were_found() -> None:
    assert len(COMMANDS) > 25
    assert len(STRESS) == 5
    with pytest.raises(click.UsageError):
        check("sweep echo --no-such-option")


def test_the_kuberay_job_has_a_token_one_image_and_our_ray() -> None:
    cluster = entrypoint()["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    containers = [g["template"]["spec"]["containers"][0] for g in groups]
    assert all(c["image"] == containers[0]["image"] for c in containers)
    assert all(c["envFrom"] == containers[0]["envFrom"] for c in containers)
    assert cluster["rayVersion"] == version("ray")


def test_the_slurm_script_is_a_shell_script_and_its_commands_exist() -> None:
    bash = shutil.which("bash")
    assert bash is not None
    assert subprocess.run([bash, "-n", SLURM], check=False).returncode == 0
    text = SLURM.read_text().replace('"${common[@]}"', "--home /s --address h:1")
    text = text.replace('"${args[@]}"', "echo --trials 64").replace('"${bench[@]}"', "bench")
    commands = [c.partition(">")[0].replace("&", "") for c in commands_in(text)]
    for name in ("status", "resume", "sweep"):
        assert any(c.split()[0] == name for c in commands), commands
    for command in commands:
        if command.split()[0] in ("status", "resume", "sweep"):
            check(command.replace('"', "").replace("$SWEEP", "echo-1").replace("$SHARED", "/s"))
