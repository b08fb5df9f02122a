"""The command line: help without weight, mistakes in one line with exit code 2, nothing written."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from bench.sweep.record.journal import Journal
from tests.unit.command_line import SMOKE, Bench, refused
from tests.unit.sweep.fakes import World, finished, smooth


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        (("sweep", "ecko"), ("unknown workload 'ecko'", "did you mean 'echo'?")),
        (("sweep", "echo", "--scale", "smok"), ("unknown scale", "did you mean 'smoke'?")),
        (
            ("sweep", "echo", "--task", "restor"),
            ("unknown task of echo 'restor'", "has generate ("),
        ),
        (("smoke", "ecko"), ("unknown workload 'ecko'", "did you mean 'echo'?")),
        (("sweep", "echo", "--search", "tpo"), ("unknown search", "did you mean 'tpe'?")),
        (("sweep", "echo", "--trals", "3"), ("--trals", "--trials")),
        (("swep", "echo"), ("unknown command 'swep'", "did you mean 'sweep'?")),
        (("leaderboard", "echo", "--format", "jsn"), ("unknown format", "did you mean 'json'?")),
        (("leaderboard", "--from", "mlfow"), ("unknown source", "did you mean 'mlflow'?")),
        (("leaderboard", "echo"), ("no sweep of echo in", "start one: bench sweep echo")),
        (("status",), ("no sweep in", "start one: bench sweep echo")),
        (("resume", "echo-7"), ("no sweep 'echo-7'", "start one")),
        (("confirm", "--seeds", "0"), ("at least 1",)),
        (("confirm", "--top", "1", "--within", "3%"), ("of a race", "leave out --top and --each")),
        (("show", "backbone", "ddpmp"), ("unknown backbone", "did you mean 'ddpmpp'?")),
        (("show", "backbone", "adm", "--set", "width"), ("KEY=VALUE",)),
        (("show", "backbone", "adm", "--set", "widht=8"), ("did you mean 'width'?",)),
        (("show", "space", "ecko"), ("unknown workload", "did you mean 'echo'?")),
        (("data", "nowhere"), ("no such data folder or file: nowhere",)),
        (("ui", "--port", "99999"), ("99999", "65535")),
    ],
    ids=lambda v: " ".join(v) if isinstance(v[0], str) and "-" not in v[0] else "",
)
def test_a_mistyped_command_is_said_in_one_line(
    bench: Bench, home: Path, args: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    refused(bench(*args), home, *parts)


@pytest.mark.parametrize(
    ("args", "part"),
    [
        (("--trials", "0"), "--trials must be at least 1, got 0"),
        (("--trials", "many"), "'many' is not a valid integer"),
        (("--budget", "0"), "--budget must be positive"),
        (("--budget", "-1"), "--budget must be positive"),
        (("--budget", "nan"), "--budget must be positive"),
        (("--budget", "inf"), "--budget must be positive and finite"),
        (("--budget", "1e-6"), "too few for 3 rungs; raise --budget"),
        (("--concurrency", "0"), "--concurrency must be at least 1"),
        (("--name", "../out"), "a name is letters, digits"),
        (("--name", ""), "a name is letters, digits"),
        (("--tracking-uri", "foo://x"), "neither a server"),
        (("--space", "missing.py"), "missing.py does not exist"),
        (("--space", "ecko"), "unknown search space 'ecko'; did you mean 'echo'?"),
        (("--group-by", "x"), "--group-by is about your own data; give it with --data"),
        (("--backbone", "nope"), "unknown backbone 'nope'"),
        (("--backbone", "missing.py:build"), "missing.py does not exist"),
        (("--set", "lr"), "--set 'lr' is not KEY=VALUE"),
        (("--set", "samplr=euler"), "did you mean 'sampler'?"),
        (("--set", "guidance_wight=2"), "did you mean 'guidance_weight'?"),
        (("--early-stop", "14", "--looks", "5"), "can stop no trial"),
        (("--set", "lr=fast"), "train.lr must be float, got 'fast'"),
        (("--set", "n_reference=abc"), "n_reference must be int, got 'abc'"),
        (("--set", "extractor=a", "--extractor", "b"), "--set extractor is given twice"),
        (("--extractor", "nope"), "unknown extractor 'nope'"),
        (("--data", "nowhere"), "no such data folder or file: nowhere"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, tuple) else "",
)
def test_an_impossible_sweep_is_refused(
    bench: Bench, with_data: Path, no_store: None, args: tuple[str, ...], part: str
) -> None:
    refused(bench("sweep", "echo", *SMOKE, *args), with_data, part)


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ("def space(t, c): raise KeyError('x')", "failed: KeyError: 'x'"),
        ("def spice(t, c): pass", "has no 'space'"),
        ("def space(t, c): pass", "suggests nothing"),
        ("x = (", "cannot be imported: SyntaxError"),
        (
            "def space(t, c): t.suggest_float('lr', 1e-4, 1e-2)",
            "suggests none of architecture, preconditioning by name",
        ),
        (
            "from search_spaces.echo_space import space as echo\n"
            "def space(t, c):\n    echo(t, c)\n    t.suggest_float('droput', 0, 1)",
            "unknown parameter 'droput'; did you mean 'dropout'?",
        ),
        (
            "def space(t, c):\n    t.suggest_categorical('architecture', ['admm'])\n"
            "    t.suggest_categorical('preconditioning', ['edm'])",
            "unknown backbone 'admm'; did you mean 'adm'?",
        ),
        (
            "def space(t, c):\n    t.suggest_categorical('architecture', ['adm'])\n"
            "    t.suggest_categorical('preconditioning', ['edm'])\n"
            "    t.suggest_float('P_std', -2.0, -1.0)",
            "P_std",
        ),
        ("import sys\ndef space(t, c): sys.exit(0)", "failed: SystemExit: 0"),
        ("import sys\nsys.exit(0)", "cannot be imported: SystemExit: 0"),
    ],
    ids=[
        *("raises", "missing", "empty", "syntax", "no architecture", "key", "name", "value"),
        *("leaves", "leaves at once"),
    ],
)
def test_a_space_that_cannot_run_is_refused(
    bench: Bench, with_data: Path, no_store: None, body: str, part: str
) -> None:
    Path("mine.py").write_text(body)
    refused(bench("sweep", "echo", *SMOKE, "--space", "mine.py"), with_data, part)


def test_a_folder_with_nothing_readable_says_what_was_looked_for(
    bench: Bench, home: Path, no_store: None
) -> None:
    Path("empty").mkdir()
    Path("empty/notes.txt").write_text("nothing")
    said = bench("sweep", "echo", *SMOKE, "--data", "empty")
    refused(said, home, "nothing readable in empty", "FileList.csv", ".avi", ".png")


def test_a_pattern_that_is_none_is_said(bench: Bench, home: Path, no_store: None) -> None:
    Path("pictures").mkdir()
    Image.new("L", (16, 16)).save("pictures/a.png")
    said = bench("sweep", "echo", *SMOKE, "--data", "pictures", "--group-by", "(")
    refused(said, home, "--group-by '(' is no regular expression")


def test_a_server_that_is_not_there_is_said(bench: Bench, home: Path) -> None:
    said = bench("sweep", "echo", *SMOKE, "--tracking-uri", "http://127.0.0.1:1")
    refused(said, home, "http://127.0.0.1:1 cannot be reached", "--tracking-uri")


def test_a_home_that_cannot_be_written_is_said(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = bench("sweep", "echo", *SMOKE, "--home", str(tmp_path / "file" / "home"))
    refused(said, tmp_path / "file", "cannot write in", "--home")


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    place = tmp_path / "tiny"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small disk takes the rights of root")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_full_disk_is_said(bench: Bench, tiny_disk: Path, no_store: None) -> None:
    home = tiny_disk / "home"
    (tiny_disk / "filler").write_bytes(b"x" * (900 * 1024))
    refused(bench("sweep", "echo", *SMOKE, "--home", str(home)), home, "space", "disk")


def test_a_disk_that_fills_when_the_sweep_begins_leaves_no_sweep(
    bench: Bench, with_data: Path, no_store: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.unit.sweep.test_journal import FullDisk

    full = FullDisk(10)
    monkeypatch.setattr("os.write", full)
    said = bench("sweep", "echo", *SMOKE)
    monkeypatch.undo()
    refused(said, with_data, "the disk is full")


def test_a_name_that_exists_is_refused(bench: Bench, with_data: Path, no_store: None) -> None:
    place = with_data / "sweeps" / "mine"
    place.mkdir(parents=True)
    (place / "theirs").touch()
    said = bench("sweep", "echo", *SMOKE, "--name", "mine")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "a sweep 'mine' exists; choose another --name, or bench resume mine" in said.err
    assert [p.name for p in place.iterdir()] == ["theirs"]


def test_an_unknown_sweep_is_told_the_nearest(bench: Bench, home: Path) -> None:
    finished(home / "sweeps", World(smooth), trials=2).journal.close()
    said = bench("status", "fake-2")
    assert said.code == 2
    assert "unknown sweep 'fake-2'; did you mean 'fake-1'?" in said.err


def test_a_sweep_whose_driver_died_before_its_plan_is_no_sweep(bench: Bench, home: Path) -> None:
    Journal(home / "sweeps" / "echo-1" / "journal.jsonl").close()
    assert "no sweeps in" in bench("list").out
    assert bench("status").code == 2
    assert "no sweep" in bench("resume").err


def test_a_sweep_that_runs_elsewhere_is_not_resumed(
    bench: Bench, home: Path, no_store: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.unit.sweep.fakes import frame, open_engine, plan

    engine = open_engine(home / "sweeps", plan(trials=2))
    monkeypatch.setattr(
        "bench.sweep.planning.plan_making.reopen", lambda plan, cache: (None, frame())
    )
    said = bench("resume", "fake-1")
    engine.journal.close()
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "'fake-1' is being run by another process" in said.err


def test_a_backbone_is_shown_with_its_exact_size(bench: Bench) -> None:
    size = ("--resolution", "32", "--channels", "3")
    shown = json.loads(bench("show", "backbone", "ddpmpp", *size, "--json").out)
    assert shown["parameters"] == 55732739  # the authors' network, facts.md
    assert shown["flops"] > 1e9
    assert shown["training_flops"] > 2 * shown["flops"]
    text = bench("show", "backbone", "ddpmpp", *size).out
    assert "55,732,739" in text
    assert "GFLOP forward" in text


def test_the_space_is_shown(bench: Bench) -> None:
    text = bench("show", "space", "echo").out
    for name in ("architecture", "preconditioning", "lr", "P_mean", "width"):
        assert any(line.startswith(name) for line in text.splitlines())


def test_help_is_light() -> None:
    code = (
        "import sys\n"
        "from bench.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as left: assert not left.code\n"
        "heavy = {'torch', 'ray', 'mlflow', 'optuna', 'numpy', 'scipy', 'timm', 'rich', 'av'}\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stdout
    assert "sweep" in done.stdout
    assert done.stderr == ""


def test_the_module_is_the_command(tmp_path: Path) -> None:
    def run(*args: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "bench", *args]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    assert run("--help").stdout.startswith("Usage: bench ")
    wrong = run("swep")
    assert (wrong.returncode, wrong.stdout, wrong.stderr.count("\n")) == (2, "", 1)
