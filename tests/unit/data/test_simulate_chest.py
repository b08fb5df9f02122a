"""The simulated radiographs: the listing agrees with the drawing, and the drawing with a chest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.data.folder_scan import scan
from bench.data.opening import open_data
from bench.data.readers import chexpert_layout as chexpert
from bench.data.readers.chexpert_labels import OBSERVATIONS
from bench.data.reading import Reading
from bench.data.simulate_chest import SimulationSize, patient
from bench.data.simulate_chest.exposure import radiograph
from bench.data.simulate_chest.findings import Findings, Opacity, draw_findings, observe
from bench.data.simulate_chest.torso import dome_level, heart, heart_share, make_grid

SIZE = SimulationSize(patients=10, views=2, side=48)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated")
    SIZE.write(folder)
    return folder


def _person(index: int = 0) -> patient.Patient:
    return patient.draw_patient(np.random.default_rng(index))


def _placing(person: patient.Patient) -> patient.Placing:
    """Straight, centred, without frame and noise that matters."""
    drawn = patient.draw_placing(person, np.random.default_rng(0), is_ill=False)
    return replace(
        drawn, tilt=0.0, turn=0.0, centre=(0.0, 15.0), frame=(0, 0, 0, 0), field=37.0, dose=1e6,
        inspiration=1.0, equalised=0.0, brightness=0.0, scatter=0.3,
    )  # fmt: skip


def _picture(found: Findings, person: patient.Patient, side: int = 64) -> np.ndarray:
    shown = radiograph(person, _placing(person), found, side, np.random.default_rng(1))
    return shown.astype(float)


def test_is_in_the_official_layout(root: Path) -> None:
    listing = chexpert.list_sources(scan(root))
    assert listing.skipped == ()
    assert [s.part for s in listing.sources].count("train") == 12
    assert len({s.subject for s in listing.sources}) == 10
    frame = next(iter(chexpert.frames(listing.sources[0], every=1, mode="L", warn=print)))
    assert frame.pixels.shape == (48, 48)
    header = (root / "train.csv").read_text().splitlines()[0]
    assert header == ",".join(chexpert.COLUMNS)


def test_same_seed_same_files_and_another_seed_others(root: Path, tmp_path: Path) -> None:
    SIZE.write(tmp_path / "again")
    other = replace(SIZE, seed=1)
    other.write(tmp_path / "other")
    for name in ("train.csv", "test_labels.csv", "train/patient00002/study2/view1_frontal.jpg"):
        first = (root / name).read_bytes()
        assert (tmp_path / "again" / name).read_bytes() == first
        assert (tmp_path / "other" / name).read_bytes() != first
    assert SIZE.digest() == replace(SIZE).digest() != other.digest()


def test_a_picture_does_not_depend_on_how_many_are_drawn(root: Path, tmp_path: Path) -> None:
    replace(SIZE, patients=5).write(tmp_path / "few")
    for file in sorted((tmp_path / "few").rglob("*.jpg")):
        assert (root / file.relative_to(tmp_path / "few")).read_bytes() == file.read_bytes()


def test_cardiomegaly_is_listed_where_the_drawn_heart_is_wide() -> None:
    for index in range(8):
        person = _person(index)
        for factor in (1.0, 1.4):
            found = Findings(heart=factor)
            grid = make_grid(person, _placing(person), 256)
            thick = heart(grid, person, _placing(person), found, np.zeros_like(grid.x))
            # Below the great vessels; the widest row, in the patient's own centimetres.
            rows = grid.y[:, 0] > dome_level(person, _placing(person), found, -1) - 9
            width = (thick[rows] > 0).sum(axis=1).max() * grid.pixel
            share = heart_share(person, found)
            # A pixel at each side, of a chest 26 cm wide: 0.15 cm / 26 cm = 0.006 each.
            assert width / (2 * person.chest) == pytest.approx(share, abs=0.015)
            listed = observe(found, share)["Cardiomegaly"]
            assert listed == (width / (2 * person.chest) > 0.5) or abs(share - 0.5) < 0.015


def test_lungs_are_darker_than_the_heart_and_brighter_than_the_room() -> None:
    for index in range(6):
        person = _person(index)
        shown = _picture(Findings(), person)
        side = len(shown)

        def at(x: float, y: float, shown: np.ndarray = shown, scale: float = person.scale) -> float:
            column = int((x * scale / 37 + 0.5) * len(shown))
            row = int(((y * scale - 15) / 37 + 0.5) * len(shown))
            return float(shown[row - 1 : row + 2, column - 1 : column + 2].mean())

        lungs = (at(-8, 12) + at(8, 9)) / 2
        assert lungs + 40 < at(2, 18)
        assert lungs + 40 < at(-6, 28)  # the liver
        assert shown[: side // 12, : side // 12].mean() < lungs


@pytest.mark.parametrize(
    ("found", "darker"),
    [
        (Findings(effusion=(0.9, 0.0)), False),
        (Findings(edema=1.0), False),
        (Findings(opacities=(Opacity(side=-1, level=0.6, across=0.5, radius=4, density=0.9),)),
         False),
        (Findings(pneumothorax=(1.0, 0.0)), True),
    ],
)  # fmt: skip
def test_findings_show_on_their_side(found: Findings, darker: bool) -> None:
    """The patient's right is on the image's left."""
    changed = []
    for index in range(4):
        person = _person(index)
        difference = _picture(found, person) - _picture(Findings(), person)
        rows = slice(8, 30) if darker else slice(20, 44)
        columns = slice(8, 14) if darker else slice(12, 26)
        changed.append(float(difference[rows, columns].mean()))
    assert np.mean(changed) < -1 if darker else np.mean(changed) > 5


def test_observations_have_varied_shares() -> None:
    rows = []
    for index in range(400):
        rng = np.random.default_rng(index)
        person, found = patient.draw_patient(rng), draw_findings(rng)
        rows.append(observe(found, heart_share(person, found)))
    share = {name: np.mean([row[name] for row in rows]) for name in OBSERVATIONS}
    assert all(0.01 < value < 0.75 for value in share.values()), share
    for row in rows:
        assert row["No Finding"] == (not any(row[n] for n in OBSERVATIONS[1:-1]))


def test_opens_as_simulated_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for resolution in (16, 32):
        cached = open_data(
            None, Reading(size=(resolution, resolution)), workload_reader="chexpert",
            home=tmp_path, simulated=SIZE,
        )  # fmt: skip
        monkeypatch.delattr(SimulationSize, "write", raising=False)  # drawn once only
    assert cached.simulated
    assert cached.images.shape == (20, 1, 32, 32)
    assert dict(cached.subjects) == {"train": 6, "select": 2, "report": 2}
    assert "SIMULATED" in cached.notes[0]
    assert cached.name.startswith("simulated-chest")
    assert cached.vector_names == OBSERVATIONS
    assert set(cached.label_names) <= {"Finding", "No Finding"}


@pytest.mark.parametrize("wrong", [{"patients": 4}, {"views": 0}, {"side": 8}])
def test_impossible_sizes_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="needs 5 patients"):
        SimulationSize(**wrong)
