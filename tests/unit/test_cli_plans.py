"""What `bench sweep --dry-run` plans and refuses of a user's own parts and settings."""

from __future__ import annotations

from pathlib import Path

from bench import doors
from tests.unit.command_line import SMOKE, Bench, refused


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
    assert "condition ef" in dry_run(bench, "--condition", "ef")[1]


def test_a_rate_that_diverges_does_not_stop_the_forecast(bench: Bench, no_store: None) -> None:
    said = bench("sweep", "chexpert", *SMOKE, "--set", "lr=5", "--dry-run")
    assert (said.code, said.err) == (0, "")


MINE = """
from bench.metrics.metric import Metric
from leaderboards.measures import Measure

class Contrast(Metric):
    @property
    def measures(self):
        return (Measure(key="contrast", title="contrast", direction="higher"),)

    def estimate(self, evidence):
        return {"contrast": float(evidence.predictions.values.std())}
"""


def test_a_metric_is_asked_for_beside_the_workloads_own(
    bench: Bench, with_data: Path, no_store: None
) -> None:
    Path("mine.py").write_text(MINE)
    asked = ("--metric", "prdc", "--metric", "fd:randconv64", "--metric", "mine.py:Contrast")
    _, said = dry_run(bench, *asked, "--set", "nearest_k=3")
    assert "metric mine.py:Contrast passes 6 conformance checks" in said
    assert "score: fd_randconv" in said
    for metric, verdict in (
        ("prcd", "unknown metric 'prcd'; did you mean 'prdc'?"),
        ("kd", "--metric kd: echo measures it without being asked"),
        ("fd:randconv", "--metric fd:randconv: echo measures it without being asked"),
        ("kd:randconv", "two metrics measure kd_randconv"),
        ("fd:nothing", "unknown extractor 'nothing'"),
        ("clipping:more", "'clipping:more': nothing may stand behind 'clipping'"),
        ("psnr", "metric psnr needs targets"),
    ):
        answer = bench("sweep", "echo", *SMOKE, "--dry-run", "--metric", metric)
        refused(answer, with_data, verdict)
    twice = ("--metric", "prdc", "--metric", "prdc")
    refused(bench("sweep", "echo", *SMOKE, *twice), with_data, "--metric prdc is given twice")
