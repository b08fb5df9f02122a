"""The simulated set: its listing agrees with its drawing, its speckle moves with the tissue."""

from __future__ import annotations

import csv
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kstest, pearsonr

from bench.data.folder_scan import scan
from bench.data.opening import open_data
from bench.data.readers import echonet
from bench.data.reading import Reading
from bench.data.simulate_echo import SimulationSize, heart, scanner, writing

SIZE = SimulationSize(patients=10, frames=12)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated")
    SIZE.write(folder)
    return folder


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream_:
        return list(csv.DictReader(stream_))


def _patient(index: int) -> heart.Heart:
    return heart.draw_heart(np.random.default_rng(index))


def test_is_in_the_official_layout(root: Path) -> None:
    listing = echonet.list_sources(scan(root))
    assert len(listing.sources) == 10
    assert listing.skipped == ()
    assert [s.part for s in listing.sources].count("train") == 6
    frames = list(echonet.frames(listing.sources[0], every=1, mode="L", warn=print))
    assert len(frames) == 12
    assert frames[0].pixels.shape == (112, 112)
    header = (root / "VolumeTracings.csv").read_text().splitlines()[0]
    assert header == "FileName,X1,Y1,X2,Y2,Frame"


def test_files_are_the_same_when_several_processes_draw(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_WORTH_PROCESSES", 0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1})
    SIZE.write(tmp_path)
    files = sorted(path.relative_to(root) for path in root.rglob("*") if path.is_file())
    assert sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file()) == files
    for file in files:
        assert (tmp_path / file).read_bytes() == (root / file).read_bytes()


def test_listed_ejection_fraction_is_that_of_the_traced_discs(root: Path) -> None:
    traces: dict[str, dict[int, list[list[float]]]] = {}
    for row in _table(root / "VolumeTracings.csv"):
        line = [float(row[c]) for c in ("X1", "Y1", "X2", "Y2")]
        traces.setdefault(row["FileName"], {}).setdefault(int(row["Frame"]), []).append(line)
    for row in _table(root / "FileList.csv"):
        assert float(row["EF"]) == pytest.approx(
            100 * (1 - float(row["ESV"]) / float(row["EDV"])), abs=0.01
        )  # four decimals are written
        volumes = []
        for lines in traces[row["FileName"] + ".avi"].values():
            table = np.array(lines)
            lengths = np.hypot(table[:, 2] - table[:, 0], table[:, 3] - table[:, 1])
            assert len(lengths) == 21
            volumes.append(np.pi / 4 * np.sum(lengths[1:] ** 2) * lengths[0] / 20)
        systole, diastole = volumes
        # 1 point of EF: 20 discs against 400, and chords across an axis that turns a little.
        assert 100 * (1 - systole / diastole) == pytest.approx(float(row["EF"]), abs=1.0)


def test_ejection_fractions_and_volumes_are_plausible() -> None:
    ef, edv = [], []
    for index in range(300):
        rng = np.random.default_rng(index)
        patient, machine = heart.draw_heart(rng), scanner.draw_scanner(rng)
        ml = heart.volumes(patient, heart.motion(patient, 24, 10))
        ml *= (machine.depth_cm / machine.radius) ** 3
        ef.append(100 * (1 - ml.min() / ml.max()))
        edv.append(ml.max())
    # EchoNet-Dynamic: EF 55.8 +- 12.4, EDV 91 +- 46 ml (Ouyang et al. 2020, table 1).
    assert 48 < np.mean(ef) < 60
    assert 6 < np.std(ef) < 14
    assert np.quantile(ef, 0.01) > 10
    assert 70 < np.median(edv) < 130


def test_the_cavity_is_dark_and_the_wall_bright_where_they_are_drawn() -> None:
    for index in range(5):
        rng = np.random.default_rng(index)
        patient = heart.draw_heart(rng)
        machine = replace(scanner.draw_scanner(rng), noise_db=-50.0, clutter_db=-60.0, gain_db=0.0)
        moving = heart.motion(patient, 12, 10)
        clip = scanner.render(patient, machine, moving, rng).astype(float)
        for frame in (0, 6):
            lines = heart.tracing(patient, moving, frame)[4:14]
            middle = (lines[:, :2] + lines[:, 2:]) / 2
            septum = lines[:, :2] - (lines[:, 2:] - lines[:, :2]) * 0.15
            blood, wall = (
                clip[frame, p[:, 1].astype(int), p[:, 0].astype(int)].mean()
                for p in (middle, septum)
            )
            assert wall > 2 * blood + 10


def test_displacement_undoes_the_motion() -> None:
    patient = _patient(3)
    moving = heart.motion(patient, 10, 10)
    rows = np.arange(5, 40, dtype=np.float32)
    columns = np.arange(-60, 60, dtype=np.float32)
    u_back, v_back = heart.displacement(patient, moving, rows, columns)
    for t, c in enumerate(moving.contraction):
        # The moved cavity wall must land on the end-diastolic one: a slow check, level by level.
        for i in range(0, len(rows), 7):
            then = float(rows[i] + u_back[t, i])
            half_then = float(heart.cavity(patient, np.array([then]))[0])
            half_now = half_then * (1 - patient.narrowing * float(c))
            middle = moving.dv[t] + moving.turn[t] * rows[i]
            landed = np.interp(
                [middle - half_now, middle + half_now], columns, columns + v_back[t, i]
            )
            # 0.3 pixels: the map bends at the wall between two columns of the grid.
            assert landed == pytest.approx([-half_then, half_then], abs=0.3)
            assert np.all(np.diff(columns + v_back[t, i]) > -1e-4), "tissue folds over itself"


def _wall_echoes(seed: int) -> tuple[float, float]:
    """Correlation of the wall's scatterers, frame 0 with frame 3: where they went; where they were.

    The scanner's own lookup is asked for the places in the lateral wall at end-diastole, and for
    where the edges have carried those in frame 3.
    """
    patient = replace(_patient(seed), beat_start=0.0, breath=(0, 0.2, 0), swing=(0, 0, 0))
    moving = heart.motion(patient, 4, 10)
    c = float(moving.contraction[3])
    assert moving.contraction[0] == 0
    assert c > 0.3
    scatterers = scanner.tissue(patient, np.random.default_rng(seed))
    shape = (scanner.DEPTHS, scanner.LINES)
    levels = np.linspace(10, 0.75 * patient.length, shape[0])
    rest, edge = heart.moving_edges(patient, levels, c)
    share = np.linspace(0.1, 0.9, shape[1])
    v_then, v_now = (e[5][:, None] + share * (e[6] - e[5])[:, None] for e in (rest, edge))
    u_then = np.broadcast_to(levels[:, None], shape)
    u_now = u_then * (1 - patient.shortening * c)
    at_rest = scanner._look_up(scatterers, patient, moving, u_then, v_then)[0]
    moved = scanner._look_up(scatterers, patient, moving, u_now, v_now)[0]
    return (
        float(pearsonr(at_rest[0].ravel(), moved[3].ravel()).statistic),
        float(pearsonr(at_rest[0].ravel(), at_rest[3].ravel()).statistic),
    )


def test_speckle_moves_with_the_tissue() -> None:
    carried, still = np.array([_wall_echoes(seed) for seed in range(8)]).T
    # Roundings to half-pixel scatterers, blurred over 1.2 of them, cost a few hundredths.
    assert carried.min() > 0.9
    # About 50 independent scatterers a wall: 0.14 a patient, 0.05 the mean of eight.
    assert abs(still.mean()) < 0.25


def test_the_envelope_of_uniform_tissue_is_rayleigh() -> None:
    rng = np.random.default_rng(0)
    machine = scanner.draw_scanner(rng)
    shape = (2, 3, scanner.DEPTHS, scanner.LINES)
    depth = (np.arange(scanner.DEPTHS) + 0.5) / scanner.DEPTHS
    echo = scanner._blur(rng.standard_normal(shape, dtype=np.float32), machine, depth)
    far = np.hypot(*echo)[:, 10:-10:8, 10:-10:10]  # several beam widths apart: independent
    # The 1 % critical value for a given scale; the blur keeps unit power per component.
    assert kstest(far.ravel(), "rayleigh", args=(0, 1)).pvalue > 0.01


def test_same_seed_same_files_and_another_seed_others(root: Path, tmp_path: Path) -> None:
    SIZE.write(tmp_path / "again")
    other = replace(SIZE, seed=1)
    other.write(tmp_path / "other")
    for name in ("FileList.csv", "VolumeTracings.csv", "Videos/SIM00003.avi"):
        first = (root / name).read_bytes()
        assert (tmp_path / "again" / name).read_bytes() == first
        assert (tmp_path / "other" / name).read_bytes() != first
    assert SIZE.digest() == replace(SIZE).digest() != other.digest()


def test_opens_as_simulated_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for resolution in (16, 32):
        cached = open_data(
            None,
            Reading(size=(resolution, resolution)),
            workload_reader="echonet",
            home=tmp_path,
            simulated=SIZE,
        )
        monkeypatch.delattr(SimulationSize, "write", raising=False)  # drawn once only
    assert cached.simulated
    assert cached.images.shape == (120, 1, 32, 32)
    assert dict(cached.subjects) == {"train": 6, "select": 2, "report": 2}
    assert "SIMULATED" in cached.notes[0]
    assert cached.name.startswith("simulated-echo")
    assert cached.meta["simulation"]["patients"] == 10
    assert cached.meta["settings"]["every"] == 1


@pytest.mark.parametrize("wrong", [{"patients": 2}, {"frames": 1}, {"fps": 0}])
def test_impossible_sizes_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="needs 3 patients"):
        SimulationSize(**wrong)
