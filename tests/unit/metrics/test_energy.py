"""Energy: a counter that starts again at its range, none that cannot be read, joules by phase."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.metrics import energy
from bench.metrics.throughput import Stopwatch


def packages(folder: Path, *counts: int, reach: int = 1000_000_000) -> Path:
    """RAPL as Linux shows it: packages, and a domain inside the first that must not count twice."""
    for name, count in [*((f"intel-rapl:{k}", c) for k, c in enumerate(counts)), ("x", 0)]:
        place = folder / (name if name != "x" else "intel-rapl:0:0")
        place.mkdir(exist_ok=True, parents=True)
        (place / "energy_uj").write_text(f"{count}\n")
        (place / "max_energy_range_uj").write_text(f"{reach}\n")
    return folder


def test_all_packages_count_and_a_count_that_starts_again_goes_on(tmp_path: Path) -> None:
    joules = energy.counter_of("cpu", packages(tmp_path, 999_000_000, 5_000_000))
    assert joules is not None
    assert joules() == 0.0
    packages(tmp_path, 999_500_000, 7_000_000)
    assert joules() == pytest.approx(2.5)
    packages(tmp_path, 500_000, 7_000_000)  # past the first one's range
    assert joules() == pytest.approx(3.5)


def test_what_cannot_be_read_is_no_counter(tmp_path: Path) -> None:
    assert energy.counter_of("cpu", tmp_path / "nowhere") is None
    packages(tmp_path, 1)
    (tmp_path / "intel-rapl:0/energy_uj").unlink()
    (tmp_path / "intel-rapl:0/energy_uj").mkdir()  # no file to read, whoever asks
    assert energy.counter_of("cpu", tmp_path) is None
    assert energy.counter_of("cuda:99") is None


def test_a_phase_has_its_joules_and_they_go_on_after_a_resume() -> None:
    count = [100.0]

    def spend(watch: Stopwatch, phase: str, joules: float, images: int) -> None:
        with watch.phase(phase) as add:  # type: ignore[arg-type]  # a phase
            count[0] += joules
            add(images)
        count[0] += 1000.0  # between phases it is nobody's

    first = Stopwatch(joules=lambda: count[0])
    spend(first, "train", 300.0, 60)
    second = Stopwatch(joules=lambda: count[0])
    second.restore(first.state())
    spend(second, "train", 300.0, 40)
    spend(second, "sample", 120.0, 5)
    read = second.read()
    assert read.train_j_per_img == pytest.approx(6.0)
    assert read.energy_wh == pytest.approx(720 / 3600)
    assert read.metrics["throughput/energy_wh"] == pytest.approx(0.2)
    none = Stopwatch().read()
    assert none.energy_wh is none.train_j_per_img is None
    assert not any("energy" in key or "j_per" in key for key in none.metrics)
