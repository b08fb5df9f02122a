"""What is asked of a workload's data: by name, and what there is where a name is wrong."""

from __future__ import annotations

import pytest

from bench.cli import main
from bench.errors import BenchError
from bench.workloads.workload import for_task


def test_a_task_names_the_workload_that_asks_it() -> None:
    assert for_task("chexpert", None) == "chexpert"
    assert for_task("chexpert", "restore") == "chexpert"
    assert for_task("chexpert", "generate") == "chexpert_generate"


@pytest.mark.parametrize(
    ("task", "hint"), [("denoise", "it has"), ("generat", "did you mean 'generate'? it has")]
)
def test_an_unknown_task_is_told_all_there_are_and_what_they_are(task: str, hint: str) -> None:
    with pytest.raises(BenchError) as refusal:
        for_task("chexpert", task)
    assert str(refusal.value) == (
        f"unknown task of chexpert {task!r}; {hint} restore (chest x-ray denoising; the one "
        "without --task), generate (chest x-ray generation by finding)"
    )


def test_the_space_of_another_task_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    shown = {}
    for task in ("restore", "generate"):
        with pytest.raises(SystemExit) as left:
            main(["show", "space", "chexpert", "--task", task])
        assert not left.value.code
        shown[task] = capsys.readouterr().out
    assert "guidance_weight" in shown["generate"]
    assert "guidance_weight" not in shown["restore"]
