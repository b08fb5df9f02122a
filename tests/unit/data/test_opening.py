"""open_data end to end on small real files: skipping, naming, digests, caps, disk, races."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from bench.data.cache import CachedImages, load_cache
from bench.data.readers import echonet, videos
from bench.errors import BenchError
from tests.unit.data.conftest import Open, write_images


def _clips(names: list[str], frames: int = 8) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {name: rng.integers(0, 256, (frames, 32, 32), np.uint8) for name in names}


def _videos(root: Path, n: int = 6, frames: int = 8) -> Path:
    videos.write_example(root, _clips([f"patient_{i}" for i in range(n)], frames))
    return root


def test_nothing_readable_says_what_was_looked_for(opened: Open, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BenchError, match=r"FileList\.csv beside Videos.*npz.*videos.*images"):
        opened(tmp_path / "empty")
    with pytest.raises(BenchError, match="no such data folder or file"):
        opened(tmp_path / "absent")


def test_examples_of_guessed_subjects_stay_local(opened: Open, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    shots = {
        f"p{i // 2:04d}_img{i % 2}.png": rng.integers(0, 256, (16, 16), np.uint8) for i in range(12)
    }
    write_images(tmp_path / "shots", shots)
    cached = opened(tmp_path / "shots")
    assert any(note.startswith("examples: ") and "p0000" in note for note in cached.notes)
    assert not any("examples" in note or "p0000" in note for note in cached.record_notes)


def test_broken_and_missing_files_are_skipped_counted_and_named(
    opened: Open, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "data"
    echonet.write_example(root, _clips([f"v{i}" for i in range(9)]))
    (root / "Videos/v3.avi").write_bytes(b"RIFF but then nonsense")
    (root / "Videos/v4.avi").unlink()
    whole = (root / "Videos/v5.avi").read_bytes()
    (root / "Videos/v5.avi").write_bytes(whole[: len(whole) // 2])
    cached = opened(root)
    notes = " | ".join(cached.notes)
    assert "2 files skipped: Videos/v4.avi (listed but missing), Videos/v3.avi (" in notes
    assert "1 files read in part: Videos/v5.avi (" in notes
    assert 6 * 8 < len(cached.images) < 7 * 8
    assert cached.meta["skipped"] == 2
    assert capfd.readouterr().err == ""


def test_records_carry_no_names(opened: Open, tmp_path: Path) -> None:
    root = _videos(tmp_path / "secret_place")
    (root / "John_Smith.avi").write_bytes(b"broken")
    cached = opened(root)
    record = json.dumps(cached.record())
    index = json.loads((cached.path / "index.json").read_text())
    assert "John_Smith" in " ".join(cached.notes)
    for name in ("John", "secret", "patient_", str(tmp_path)):
        assert name not in record
    assert "1 files skipped" in record
    assert len(set(index["subject_ids"])) == 6
    assert all(len(bytes.fromhex(i)) == 6 for i in index["subject_ids"])


def test_the_cache_is_found_again_and_follows_the_content(opened: Open, tmp_path: Path) -> None:
    root = _videos(tmp_path / "data")
    first = opened(root)
    stamp = (first.path / "images.bin").stat().st_mtime_ns
    os.utime(root / "patient_0.avi", (1, 1))
    assert opened(root).digest == first.digest
    assert (first.path / "images.bin").stat().st_mtime_ns == stamp, "it was built twice"
    assert opened(root, size=(8, 8)).digest != first.digest
    assert opened(root, every=2).digest != first.digest
    assert opened(root, group_by=r"_(\d)").digest != first.digest
    moved = root.rename(tmp_path / "elsewhere")
    assert opened(moved).digest == first.digest
    other = _clips(["x"])["x"]
    videos.write_example(moved, {"patient_0": 255 - other})
    assert opened(moved).digest != first.digest


def test_statistics_are_those_of_the_train_part(opened: Open, tmp_path: Path) -> None:
    cached = opened(_videos(tmp_path / "data"))
    x = cached.images[cached.parts["train"]].astype(np.float64) / 127.5 - 1
    assert cached.sigma_data == pytest.approx(x.std(), rel=1e-12)  # float64 rounding
    assert cached.meta["channel_mean"] == pytest.approx([x.mean()], rel=1e-12)
    everything = np.concatenate(list(cached.parts.values()))
    assert sorted(everything) == list(range(len(cached.images)))
    assert isinstance(cached.images, np.memmap)
    assert not cached.images.flags.writeable


def test_hashed_ids_cannot_be_found_without_the_data(opened: Open, tmp_path: Path) -> None:
    ids = []
    for name in ("a", "b"):
        root = _videos(tmp_path / name)
        videos.write_example(root, {"patient_0": 255 - _clips([name])[name]} if name == "b" else {})
        index = json.loads((opened(root).path / "index.json").read_text())
        ids.append(set(index["subject_ids"]))
    assert not ids[0] & ids[1], "the same names have the same ids in another data set"


def test_a_cap_keeps_evenly_spaced_frames(opened: Open, tmp_path: Path) -> None:
    root = _videos(tmp_path / "data", frames=9)
    whole, capped = opened(root), opened(root, max_frames_per_subject=3)
    assert len(capped.images) == 6 * 3
    for subject in range(6):
        of_whole = whole.images[whole.subject == subject]
        assert np.array_equal(capped.images[capped.subject == subject], of_whole[[0, 4, 8]])


def test_some_subjects_are_drawn_by_hash(opened: Open, tmp_path: Path) -> None:
    root = _videos(tmp_path / "data", n=20)
    some = opened(root, max_subjects=7)
    assert sum(some.subjects.values()) == 7
    assert any("7 of 20 subjects are used" in note for note in some.notes)
    layout = tmp_path / "official"
    echonet.write_example(layout, _clips([f"v{i:02d}" for i in range(30)]))
    assert dict(opened(layout, max_subjects=6).subjects) == dict.fromkeys(some.subjects, 2)


def test_subjects_of_an_array_are_drawn_by_hash_too(opened: Open, tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", images=_clips(["x"], 50)["x"])
    assert len(opened(tmp_path / "set.npz", max_subjects=10).images) == 10


def test_colour_is_kept_where_there_is_colour(opened: Open, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 256, (8, 20, 20, 3), np.uint8)
    cached = opened(write_images(tmp_path / "c", {f"p{i}.png": c for i, c in enumerate(colour)}))
    assert cached.images.shape == (8, 3, 16, 16)
    grey = np.repeat(colour[..., :1], 3, axis=-1)
    cached = opened(write_images(tmp_path / "g", {f"p{i}.png": c for i, c in enumerate(grey)}))
    assert cached.images.shape == (8, 1, 16, 16)
    assert "0 of 8 files" in cached.meta["channels_because"]


def test_a_few_coloured_files_among_grey_ones_are_said(opened: Open, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pictures = {f"p{i}.png": rng.integers(0, 256, (20, 20), np.uint8) for i in range(29)}
    pictures["q.png"] = rng.integers(0, 256, (20, 20, 3), np.uint8)
    cached = opened(write_images(tmp_path / "data", pictures))
    assert cached.images.shape[1] == 1
    assert any("1 of 30 files looked at have colour" in note for note in cached.notes)


def test_small_frames_are_said(opened: Open, tmp_path: Path) -> None:
    notes = " | ".join(opened(_videos(tmp_path / "data"), size=(48, 48)).notes)
    assert "48 frames are smaller than 48x48: enlarged" in notes


def test_one_recording_is_split_in_stretches_loudly(opened: Open, tmp_path: Path) -> None:
    cached = opened(_videos(tmp_path / "data", n=1, frames=20))
    assert [len(indices) for indices in cached.parts.values()] == [12, 4, 4]
    assert any(note.startswith("ONLY 1 SUBJECT") for note in cached.notes)
    with pytest.raises(BenchError, match="three parts"):
        opened(_videos(tmp_path / "short", n=1, frames=2))


def test_impossible_settings_are_errors(opened: Open, tmp_path: Path) -> None:
    root = _videos(tmp_path / "data")
    for wrong in ({"size": (2, 2)}, {"every": 0}, {"max_subjects": 2}):
        with pytest.raises(BenchError, match="too small"):
            opened(root, **wrong)
    black = {f"p{i}.png": np.zeros((20, 20), np.uint8) + 3 * i for i in range(3)}
    with pytest.raises(BenchError, match="nothing to learn from"):
        opened(write_images(tmp_path / "flat", black))


def _left(home: Path) -> list[Path]:
    return [path for path in (home / "cache").iterdir() if path.is_dir()]


def test_a_full_disk_is_one_line_and_leaves_nothing(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    root = _videos(tmp_path / "data")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(BenchError, match="no space left for the image cache"):
            opened(root)
    assert _left(tmp_path / "home") == []
    assert len(opened(root).images) == 48


def test_an_interrupt_leaves_nothing(opened: Open, tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        opened(_videos(tmp_path / "data"), progress=interrupt)
    assert _left(tmp_path / "home") == []


def test_two_that_build_at_once_end_with_one_cache(opened: Open, tmp_path: Path) -> None:
    root = _videos(tmp_path / "data")
    meet = threading.Barrier(2, timeout=20)

    def wait(done: int, total: int) -> None:
        if done == total:
            meet.wait()  # both have decoded before either renames

    found: list[CachedImages] = []
    threads = [
        threading.Thread(target=lambda: found.append(opened(root, progress=wait))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    assert len(_left(tmp_path / "home")) == 1
    assert np.array_equal(found[0].images, found[1].images)


def test_progress_counts_sources(opened: Open, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    opened(_videos(tmp_path / "data"), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(i, 6) for i in range(7)]


def test_a_trial_reads_the_cache_with_numpy_only(opened: Open, tmp_path: Path) -> None:
    cached = opened(_videos(tmp_path / "data"))
    code = (
        "import sys; from pathlib import Path; from bench.data.cache import load_cache;"
        f"c = load_cache(Path({str(cached.path)!r})); print(c.digest, c.images.shape[0]);"
        "print(sorted({'av', 'PIL', 'scipy', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == [f"{cached.digest} 48", "[]"]


def test_a_damaged_cache_is_an_error(opened: Open, tmp_path: Path) -> None:
    cached = opened(_videos(tmp_path / "data"))
    with pytest.raises(BenchError, match="no image cache in"):
        load_cache(tmp_path)
    os.truncate(cached.path / "images.bin", 100)
    with pytest.raises(BenchError, match="damaged"):
        load_cache(cached.path)
