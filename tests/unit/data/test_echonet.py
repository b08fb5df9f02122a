"""EchoNet-Dynamic's layout: splits, names with and without extension, wrong rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.data.folder_scan import scan
from bench.data.readers import echonet
from bench.errors import BenchError


def _layout(root: Path, rows: list[str], files: list[str], header: str = "") -> Path:
    (root / "Videos").mkdir(parents=True)
    for name in files:
        (root / "Videos" / name).write_bytes(b"")
    head = header or ",".join(echonet.COLUMNS)
    (root / "FileList.csv").write_text("\n".join([head, *rows]) + "\n")
    return root


def _row(name: str, split: str) -> str:
    return f"{name},60.1,40.2,100.9,112,112,50,174,{split}"


def test_official_splits_and_subjects(tmp_path: Path) -> None:
    rows = [_row("0X1A", "TRAIN"), _row("0X2B.avi", "VAL"), _row("0X3C", "test")]
    listing = echonet.list_sources(
        scan(_layout(tmp_path, rows, ["0X1A.avi", "0X2B.avi", "0X3C.avi", "0XEXTRA.avi"]))
    )
    assert [s.part for s in listing.sources] == ["train", "select", "report"]
    assert [s.subject for s in listing.sources] == ["0X1A", "0X2B", "0X3C"]
    assert [note.local for note in listing.notes] == [
        "1 videos not in FileList.csv were left out: 0XEXTRA.avi"
    ]
    assert listing.listing_files == (tmp_path / "FileList.csv",)


def test_a_folder_around_the_layout_is_found(tmp_path: Path) -> None:
    _layout(tmp_path / "EchoNet-Dynamic", [_row("a", "TRAIN")], ["a.avi"])
    assert echonet.matches(scan(tmp_path))
    assert echonet.list_sources(scan(tmp_path)).sources[0].key == "Videos/a.avi"


def test_rows_that_cannot_be_used_are_skipped_with_a_reason(tmp_path: Path) -> None:
    rows = [_row("a", "TRAIN"), _row("gone", "VAL"), _row("b", "DEV"), _row("a", "TEST")]
    listing = echonet.list_sources(scan(_layout(tmp_path, rows, ["a.avi", "b.avi"])))
    assert [s.key for s in listing.sources] == ["Videos/a.avi"]
    assert dict(listing.skipped) == {
        "Videos/gone.avi": "listed but missing",
        "Videos/b.avi": "split 'DEV' is not one of TRAIN, VAL, TEST",
        "Videos/a.avi": "listed twice, read once",
    }


def test_missing_columns_are_an_error(tmp_path: Path) -> None:
    root = _layout(tmp_path, ["a,60"], ["a.avi"], header="FileName,EF")
    with pytest.raises(BenchError, match="lacks the column Split"):
        echonet.list_sources(scan(root))


def test_a_byte_order_mark_and_binary_rubbish(tmp_path: Path) -> None:
    root = _layout(tmp_path, [_row("a", "TRAIN")], ["a.avi"])
    text = (root / "FileList.csv").read_bytes()
    (root / "FileList.csv").write_bytes(b"\xef\xbb\xbf" + text)
    assert len(echonet.list_sources(scan(root)).sources) == 1
    (root / "FileList.csv").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(BenchError, match="cannot be read as CSV"):
        echonet.list_sources(scan(root))
