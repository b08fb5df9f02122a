"""CheXpert's layout: parts by patient, observations, views, classes by column, wrong rows."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest

from bench.data.folder_scan import scan
from bench.data.readers import chexpert_layout as chexpert
from bench.data.readers.chexpert_labels import OBSERVATIONS
from bench.data.readers.reader import Listing
from bench.errors import BenchError
from tests.unit.data.conftest import Open

ROOT = "CheXpert-v1.0-small"


def _image(root: Path, key: str) -> None:
    pixels = np.random.default_rng(crc32(key.encode())).integers(0, 256, (20, 24), np.uint8)
    chexpert.write_image(root / key, pixels)


def _row(key: str, view: str = "Frontal", **observed: object) -> list[object]:
    cells = [observed.get(name.replace(" ", "_"), "") for name in OBSERVATIONS]
    return [f"{ROOT}/{key}", "Female", 68, view, "AP" if view == "Frontal" else "", *cells]


def _key(listing: str, patient: int, name: str = "view1_frontal.jpg", study: int = 1) -> str:
    return f"{listing}/patient{patient:05d}/study{study}/{name}"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """20 patients of train.csv, 4 of valid.csv, as the small set lies on disk."""
    folder = tmp_path / ROOT
    for listing, patients in (("train", range(1, 21)), ("valid", range(101, 105))):
        keys = [_key(listing, patient) for patient in patients]
        for key in keys:
            _image(folder, key)
        chexpert.write_listing(folder / f"{listing}.csv", [_row(k, Edema=1.0) for k in keys])
    return folder


def _add(root: Path, rows: list[list[object]], listing: str = "train") -> None:
    with (root / f"{listing}.csv").open("a") as stream:
        stream.writelines(",".join(map(str, row)) + "\n" for row in rows)


def _list(path: Path, **globs: tuple[str, ...]) -> Listing:
    return chexpert.list_sources(scan(path, **globs))


def test_parts_are_by_patient_and_valid_reports(root: Path) -> None:
    listing = _list(root)
    parts = {source.subject: source.part for source in listing.sources}
    assert Counter(parts.values()) == {"train": 18, "select": 2, "report": 4}
    assert all(parts[f"patient{n:05d}"] == "report" for n in range(101, 105))
    assert listing.skipped == ()
    assert any("2 of 20 train patients, by hash, = select" in n.text for n in listing.notes)


def test_the_folder_its_parent_and_links_are_read_alike(root: Path, tmp_path: Path) -> None:
    expected = [(s.key, s.part) for s in _list(root).sources]
    assert expected[0][0] == _key("train", 1)
    assert [(s.key, s.part) for s in _list(root.parent).sources] == expected
    linked = tmp_path / "elsewhere" / "set"
    linked.mkdir(parents=True)
    for name in ("train", "valid"):
        (linked / name).symlink_to(root / name)
        (linked / f"{name}.csv").write_bytes((root / f"{name}.csv").read_bytes())
    assert [(s.key, s.part) for s in _list(linked).sources] == expected


def test_the_numbered_batches_of_the_full_set_are_read(root: Path, tmp_path: Path) -> None:
    expected = [(s.key, s.part) for s in _list(root).sources]
    first = tmp_path / "full" / "CheXpert-v1.0 batch 1 (validate & csv)"
    second = tmp_path / "full" / "CheXpert-v1.0 batch 2 (train 1)"
    first.parent.mkdir()
    root.rename(first)
    (first / "train").rename(second)
    assert [(s.key, s.part) for s in _list(tmp_path / "full").sources] == expected


def test_a_test_listing_reports_and_valid_selects(root: Path) -> None:
    keys = [_key("test", patient) for patient in (201, 202)]
    for key in keys:
        _image(root, key)
    head = ["Path", *OBSERVATIONS]
    lines = [",".join(head), *(",".join([key, *["0.0"] * 14]) for key in keys)]
    (root / "test_labels.csv").write_text("\n".join(lines))
    listing = _list(root)
    assert Counter(s.part for s in listing.sources) == {"train": 20, "select": 4, "report": 2}


def test_a_patient_in_two_listings_is_kept_in_one_part_and_said(root: Path) -> None:
    key = _key("valid", 3, study=2)
    _image(root, key)
    _add(root, [_row(key)], "valid")
    listing = _list(root)
    assert len({s.part for s in listing.sources if s.subject == "patient00003"}) == 1
    assert sum(s.subject == "patient00003" for s in listing.sources) == 2
    (note,) = [n for n in listing.notes if "several listings" in n.text]
    assert note.text.startswith("1 patients")
    assert note.files == ("patient00003",)


def test_lateral_views_are_left_out_counted_and_can_be_chosen(root: Path) -> None:
    keys = [_key("train", 1, "view2_lateral.jpg"), _key("train", 2, "view2_lateral.jpg")]
    for key in keys:
        _image(root, key)
    _add(root, [_row(key, view="Lateral") for key in keys])
    frontal = _list(root)
    assert not any("lateral" in s.key for s in frontal.sources)
    assert any(n.text.startswith("2 lateral views were left out") for n in frontal.notes)
    assert [s.key for s in _list(root, include=("*lateral*",)).sources] == keys
    assert len(_list(root, include=("*.jpg",)).sources) == 26


def test_observations_are_the_vector_uncertain_and_unknown_apart(root: Path) -> None:
    key = _key("train", 50)
    _image(root, key)
    _add(root, [_row(key, Cardiomegaly=1.0, Edema=-1.0, Fracture=0.0, Pneumonia="maybe")])
    listing = _list(root)
    assert listing.vector_names == OBSERVATIONS
    (source,) = [s for s in listing.sources if s.subject == "patient00050"]
    assert source.vector is not None
    values = dict(zip(OBSERVATIONS, source.vector, strict=True))
    assert (values["Cardiomegaly"], values["Edema"], values["Fracture"]) == (1, -1, 0)
    assert math.isnan(values["Pneumonia"])
    assert math.isnan(values["Pneumothorax"])
    assert any(n.text.startswith("1 observations are neither") for n in listing.notes)


@pytest.mark.parametrize(
    ("observed", "default", "edema", "only"),
    [
        ({"No_Finding": 1.0}, "No Finding", "no Edema", "No Finding"),
        ({"Edema": 1.0, "Lung_Opacity": 1.0}, "Finding", "Edema", "Edema"),
        ({"Edema": 1.0, "Fracture": 1.0}, "Finding", "Edema", None),
        ({"Edema": -1.0}, None, None, None),
        ({"No_Finding": 1.0, "Support_Devices": 1.0}, "No Finding", "no Edema", "No Finding"),
        ({"Edema": 0.0, "Fracture": 1.0}, "Finding", "no Edema", "Fracture"),
    ],
)
def test_classes_follow_the_observations(
    root: Path, observed: dict[str, float], default: str, edema: str, only: str
) -> None:
    key = _key("train", 50)
    _image(root, key)
    _add(root, [_row(key, **observed)])
    listing = _list(root)
    (place,) = [i for i, s in enumerate(listing.sources) if s.subject == "patient00050"]
    assert listing.sources[place].label == default
    assert listing.columns["Edema"][place] == edema
    assert listing.columns["Only Finding"][place] == only
    assert listing.columns["Sex"][place] == "Female"


def test_label_by_names_a_column_or_a_pattern(root: Path, opened: Open) -> None:
    _image(root, _key("train", 50))
    _add(root, [_row(_key("train", 50), Edema=0.0)])
    cached = opened(root, label_by="Edema")
    assert cached.label_names == ("Edema", "no Edema")
    assert cached.vector is not None
    assert cached.labels is not None
    edema = cached.vector[:, OBSERVATIONS.index("Edema")]
    assert np.array_equal(cached.labels == 0, edema == 1)
    assert opened(root, label_by="^([a-z]+)/").label_names == ("train", "valid")
    with pytest.raises(BenchError, match=r"matches none of .* or name a column: No Finding, "):
        opened(root, label_by="edemaa")
    (root / "valid.csv").unlink()
    chexpert.write_listing(root / "train.csv", [_row(_key("train", 1), Edema=-1.0)])
    with pytest.raises(BenchError, match="that column is empty for all files"):
        opened(root, label_by="Edema")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (f"{ROOT}/{_key('train', 77)}", "listed but missing"),
        (f"{ROOT}/../other/{_key('train', 1)}", "its path climbs out of the data set's folder"),
        (f"/data/{_key('train', 1)}", "an absolute path"),
        (f"C:\\data\\{_key('train', 1)}", "an absolute path"),
        (f"{ROOT}/{_key('train', 1)}", "listed twice, read once"),
        (f"{ROOT}/train/image.jpg", "its path names no patient, study and .jpg or .png"),
    ],
)
def test_rows_that_cannot_be_read_are_skipped_by_name(root: Path, path: str, reason: str) -> None:
    row = _row(_key("train", 1))
    _add(root, [[path, *row[1:]]])
    listing = _list(root)
    ((key, why),) = listing.skipped
    assert key == path
    assert why.startswith(reason)
    assert len(listing.sources) == 24


def test_images_in_no_listing_are_counted(root: Path) -> None:
    _image(root, _key("train", 99))
    (note,) = [n for n in _list(root).notes if "none of the listings" in n.text]
    assert note.local.startswith("1 images in none of the listings were left out: train/patient000")


def test_listings_that_cannot_be_read_are_an_error_by_name(root: Path) -> None:
    whole = (root / "train.csv").read_text()
    (root / "train.csv").write_text(whole.replace("Edema,", "").replace("Path,", "File,", 1))
    with pytest.raises(BenchError, match=r"train\.csv lacks the columns Path, Edema; CheXpert has"):
        _list(root)
    (root / "train.csv").write_bytes(whole.replace("Female", "Fem\xe9le").encode("latin-1"))
    with pytest.raises(BenchError, match=r"train\.csv cannot be read as CSV: 'utf-8'"):
        _list(root)


def test_two_sets_side_by_side_are_refused(root: Path) -> None:
    other = root.parent / "CheXpert-v1.0"
    other.mkdir()
    (other / "train.csv").write_bytes((root / "train.csv").read_bytes())
    with pytest.raises(BenchError, match=r"several CheXpert sets .*v1\.0, CheXpert-v1\.0-small"):
        _list(root.parent)


def test_other_folders_with_a_train_csv_are_not_taken_for_it(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("id,label\n1,2\n")
    _image(tmp_path, "train/1.jpg")
    assert not chexpert.matches(scan(tmp_path))


def test_records_name_no_patient(root: Path, opened: Open) -> None:
    import json

    record = json.dumps(opened(root).record())
    assert "patient0" not in record
    assert "parts by patient" in record


def test_few_of_many_patients_leave_a_tenth_to_each_part(root: Path, opened: Open) -> None:
    cached = opened(root, max_subjects=20)
    # of 18 / 2 / 4 patients: 20 of 24 by share are 15 / 2 / 3
    assert dict(cached.subjects) == {"train": 15, "select": 2, "report": 3}
    few = opened(root, max_subjects=10)
    assert all(few.subjects[part] >= 1 for part in ("select", "report"))
    assert sum(few.subjects.values()) == 10


def test_the_counts_of_each_observation_are_described(root: Path, opened: Open) -> None:
    from bench.data.description import describe

    _image(root, _key("train", 50))
    _add(root, [_row(_key("train", 50), Edema=-1.0)])
    ranges = describe(opened(root))["vector"]
    assert ranges["Edema"] == {"unknown": 0, "-1:": 1, "1:": 24}
    assert ranges["Fracture"] == {"unknown": 25}


def test_one_number_for_two_patients_of_two_parts_is_no_confusion(root: Path) -> None:
    """Subsets number their patients anew: the part's folder in the path decides."""
    key = _key("valid", 1)
    _image(root, key)
    _add(root, [_row(key)], "valid")
    (source,) = [s for s in _list(root).sources if s.key == key]
    assert source.path == root / key
    gone = _key("valid", 2)  # whose end is that of a file in train/
    _add(root, [_row(gone)], "valid")
    assert (f"{ROOT}/{gone}", "listed but missing") in _list(root).skipped


def test_a_path_without_its_part_that_fits_two_files_is_skipped(root: Path) -> None:
    _image(root, _key("valid", 1))
    end = _key("train", 1).removeprefix("train/")
    (root / "train.csv").write_text("")
    chexpert.write_listing(root / "train.csv", [_row(end), _row(_key("train", 2))])
    ((_path, reason),) = [s for s in _list(root).skipped if s[0].endswith(end)]
    assert reason.startswith("several files have this path's end: ")
