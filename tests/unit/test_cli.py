"""The command line: help without weight, mistakes in one line with exit code 2, nothing written."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from bench import doors
from bench.cli import main
from bench.sweep.record.journal import Journal
from tests.unit.sweep.fakes import World, finished, smooth

SMOKE = ("--scale", "smoke")


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


Bench = Callable[..., Said]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture
def bench(home: Path, capsys: pytest.CaptureFixture[str]) -> Bench:
    """The command in this process."""

    def run(*args: str) -> Said:
        with pytest.raises(SystemExit) as left:
            main(list(args))
        said = capsys.readouterr()
        return Said(int(left.value.code or 0), said.out, said.err)

    return run


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smoke scale's simulated data, drawn once."""
    from bench.workloads.workload import load

    folder = tmp_path_factory.mktemp("drawn")
    job = load("echo")
    job.open_data(None, job.scale("smoke"), folder, {})
    return folder / "cache"


@pytest.fixture
def with_data(home: Path, drawn: Path) -> Path:
    """A home that has the simulated data already."""
    home.mkdir()
    (home / "cache").symlink_to(drawn)
    return home


@pytest.fixture
def no_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the seconds of creating an MLflow store: not what these tests are about."""
    monkeypatch.setattr("bench.track.store.check", lambda store: [])


def refused(said: Said, home: Path, *parts: str) -> None:
    """One line with all `parts`, exit code 2, and no sweep begun."""
    assert said.code == 2, said
    assert said.err.count("\n") == 1, said.err
    assert said.err.startswith("bench")
    assert "Traceback" not in said.err + said.out
    for part in parts:
        assert part in said.err
    sweeps = home / "sweeps"
    assert not sweeps.is_dir() or not list(sweeps.iterdir())


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


def test_a_space_of_the_users_own_plans_the_cells_it_offers(
    bench: Bench, with_data: Path, no_store: None
) -> None:
    Path("mine.py").write_text(
        "def space(t, c):\n    t.suggest_categorical('architecture', ['ddpmpp', 'adm'])\n"
        "    t.suggest_categorical('preconditioning', ['iddpm'])\n"
        "    t.suggest_float('lr', 3e-3, 1e-2, log=True)"
    )
    said = bench("sweep", "echo", *SMOKE, "--space", "mine.py", "--dry-run")
    assert (said.code, said.err) == (0, "")
    cells = [line.split()[:2] for line in said.out.splitlines()]
    assert ["ddpmpp", "iddpm"] in cells
    assert ["adm", "iddpm"] in cells
    assert "small_unet" not in said.out
    assert "expected cost" in said.out
    assert not list((with_data / "sweeps").iterdir())


def test_another_task_on_the_data_is_a_workload_of_its_own(
    bench: Bench, with_data: Path, no_store: None
) -> None:
    Path("two.py").write_text(
        "from dataclasses import replace\nfrom bench.workloads.echo import WORKLOAD as ECHO\n"
        "WORKLOAD = replace(ECHO, tasks={'other': __file__ + ':OTHER'})\n"
        "OTHER = replace(ECHO, name='echo_other', metrics=('kd', 'denoise_error'))\n"
    )
    sweep = ("sweep", "two.py:WORKLOAD", *SMOKE, "--dry-run")
    for task, name, score in (
        ("generate", "echo", "fd_randconv"),  # the workload's own
        ("other", "echo_other", "kd_randconv"),
    ):
        said = bench(*sweep, "--task", task)
        assert (said.code, said.err) == (0, "")
        assert f"sweep {name}-1:" in said.out
        assert f"score: {score}" in said.out
    refused(
        bench(*sweep, "--task", "othr"),
        with_data,
        "unknown task of echo 'othr'; did you mean 'other'? it has generate (",
    )


NET = Path(__file__).parents[2] / "backbones" / "small_unet.py"


def dry_run(bench: Bench, *args: str) -> tuple[list[list[str]], str]:
    """The cells of a smoke sweep's plan, and all that was printed."""
    said = bench("sweep", "echo", *SMOKE, *args, "--dry-run")
    assert (said.code, said.err) == (0, ""), said
    lines = [line.split() for line in said.out.splitlines()]
    begin = next(i for i, words in enumerate(lines) if words[:2] == AXES)
    return [words[:2] for words in lines[begin + 1 : lines.index([], begin)]], said.out


AXES = ["architecture", "preconditioning"]
SETUPS = ("edm", "vp", "ve")


def test_a_backbone_of_the_table_stands_in_place_of_the_workloads(
    bench: Bench, with_data: Path, no_store: None
) -> None:
    cells, _ = dry_run(bench, "--backbone", "dit")
    assert cells == [["dit", setup] for setup in SETUPS]
    cells, _ = dry_run(bench, "--backbone", "dit", "--backbone", "adm", "--set", "lr=1e-3")
    assert cells == [[name, setup] for setup in SETUPS for name in ("dit", "adm")]


def test_a_backbone_of_a_users_file_passes_its_suite_first(
    bench: Bench, with_data: Path, no_store: None
) -> None:
    doors.VERDICTS.clear()  # other tests' parts are not this command's
    Path("my_net.py").write_text(NET.read_text())
    cells, out = dry_run(bench, "--backbone", "my_net.py:build", "--set", "preconditioning=edm")
    assert [setup for _, setup in cells] == ["edm"]
    assert "my_net.py:build" in cells[0][0]
    verdicts = [line for line in out.splitlines() if "backbone my_net.py:build passes" in line]
    assert len(verdicts) == 1
    blind = NET.read_text().replace("return self.head(x)", "return 0 * self.head(x)")
    Path("blind_net.py").write_text(blind)
    said = bench("sweep", "echo", *SMOKE, "--backbone", "blind_net.py:build", "--dry-run")
    refused(said, with_data, "blind_net.py:build breaks its contract")


def test_early_stopping_is_the_same_for_all_and_said(
    bench: Bench, with_data: Path, no_store: None
) -> None:
    said = bench("sweep", "echo", *SMOKE, "--early-stop", "2", "--looks", "6", "--dry-run")
    assert (said.code, said.err) == (0, "")
    text = " ".join(said.out.split())
    assert "early stopping: training ends once 2 looks in a row" in text
    assert "(6 looks over the budget, and the rungs)" in text
    assert "early stopping" not in bench("sweep", "echo", *SMOKE, "--dry-run").out
    refused(bench("sweep", "echo", *SMOKE, "--early-stop", "0"), with_data, "--early-stop", "x>=1")
    wrong = bench("sweep", "echo", *SMOKE, "--early-stop", "1", "--set", "looks=many")
    refused(wrong, with_data, "looks must be a whole number of at least 0, got 'many'")


BATCH_NORM = Path(__file__).parents[1] / "fakes" / "batch_norm_net.py"


def test_batch_normalisation_over_several_workers_is_refused_at_once(
    bench: Bench, with_data: Path, no_store: None
) -> None:
    asked = ("--backbone", f"{BATCH_NORM}:build", "--set", "width=default")
    alone = bench("sweep", "echo", *SMOKE, *asked, "--dry-run")
    assert (alone.code, alone.err) == (0, "")
    said = bench("sweep", "echo", *SMOKE, *asked, "--workers-per-trial", "2", "--dry-run")
    refused(said, with_data, "batch_norm_net.py:build has batch normalisation", "2 workers a trial")


def test_guidance_without_a_condition_is_refused_at_once(
    bench: Bench, with_data: Path, no_store: None
) -> None:
    said = bench("sweep", "echo", *SMOKE, "--set", "guidance=classifier_free", "--dry-run")
    refused(said, with_data, "guidance 'classifier_free' needs cases with classes")


def test_a_setting_fixes_an_axis_or_the_judge(
    bench: Bench, with_data: Path, no_store: None
) -> None:
    cells, _ = dry_run(bench, "--set", "architecture=adm", "--set", "preconditioning=vp")
    assert cells == [["adm", "vp"]]
    _, by_option = dry_run(bench, "--extractor", "randconv64")
    _, by_setting = dry_run(bench, "--set", "extractor=randconv64")
    for out in (by_option, by_setting):
        assert "score: fd_randconv64" in out


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


def test_a_rate_that_diverges_does_not_stop_the_forecast(bench: Bench, no_store: None) -> None:
    said = bench("sweep", "chexpert", *SMOKE, "--set", "lr=5", "--dry-run")
    assert (said.code, said.err) == (0, "")
