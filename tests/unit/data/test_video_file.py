"""Decoding against a plain decode, truncation, colour containers, silence."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from bench.data.readers import video_file
from bench.data.readers.reader import UnreadableError


def _clip(frames: int = 20) -> NDArray[np.uint8]:
    y, x, t = np.mgrid[0:64, 0:96, 0:frames]
    return (127 + 100 * np.sin(x / 15 + t / 3) * np.cos(y / 11)).astype(np.uint8).transpose(2, 0, 1)


def _write_inter(path: Path, frames: NDArray[np.uint8]) -> None:
    """MPEG-4 with predicted frames: not intra-coded. uint8 [T, H, W] or [T, H, W, 3]."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25, options={"g": "12", "b": "4000000"})
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        kind = "rgb24" if frames.ndim == 4 else "gray"
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format=kind)))
        container.mux(stream.encode())


def _read(path: Path, every: int = 1, mode: str = "L") -> tuple[NDArray[np.uint8], list[str]]:
    said: list[str] = []
    frames = video_file.decode(path, every=every, mode=mode, warn=said.append)  # type: ignore[arg-type]  # a test's str
    return np.stack(list(frames)), said


@pytest.mark.parametrize("inter", [False, True])
@pytest.mark.parametrize("every", [2, 5, 7])
def test_every_equals_thinning_afterwards(tmp_path: Path, inter: bool, every: int) -> None:
    path = tmp_path / ("clip.mp4" if inter else "clip.avi")
    if inter:
        _write_inter(path, _clip())
    else:
        video_file.encode(path, _clip(), fps=25)
    whole, said = _read(path)
    assert said == []
    assert len(whole) == 20
    assert np.array_equal(_read(path, every)[0], whole[::every])


def test_grey_is_the_full_range_of_a_limited_range_container(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    steps = np.repeat(np.linspace(0, 255, 12).astype(np.uint8), 8)
    _write_inter(path, np.broadcast_to(steps, (6, 64, 96)).copy())
    grey, _ = _read(path)
    colour, _ = _read(path, mode="RGB")
    # 3 levels: 219 steps of limited range and the codec; unexpanded it would be off by 20.
    assert np.abs(grey[0].astype(int) - steps).mean() < 3
    assert np.abs(colour[0].astype(int) - steps[:, None]).mean() < 3


def test_encode_keeps_the_pixels(tmp_path: Path) -> None:
    clip = _clip()
    video_file.encode(tmp_path / "clip.avi", clip, fps=50, quality=2)
    back, _ = _read(tmp_path / "clip.avi")
    assert np.abs(back.astype(int) - clip).mean() < 1.5  # MJPEG at its best quantiser


def test_encode_is_the_same_every_time(tmp_path: Path) -> None:
    for name in ("a.avi", "b.avi"):
        video_file.encode(tmp_path / name, _clip(), fps=50)
    assert (tmp_path / "a.avi").read_bytes() == (tmp_path / "b.avi").read_bytes()


def test_a_truncated_video_gives_its_whole_frames_and_says_so(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "clip.avi"
    video_file.encode(path, _clip(), fps=25)
    whole, _ = _read(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    part, said = _read(path)
    assert 5 < len(part) < 15
    assert np.array_equal(part[:-1], whole[: len(part) - 1])
    assert "of 20 frames missing" in said[0]
    assert capfd.readouterr().err == "", "libav wrote to stderr"


def test_damage_in_the_middle_costs_some_frames(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "clip.avi"
    video_file.encode(path, _clip(), fps=25)
    raw = bytearray(path.read_bytes())
    start = raw.index(b"\xff\xd8", len(raw) // 2)  # a JPEG's first marker
    end = raw.index(b"\xff\xd9", start)  # and its last
    raw[start:end] = bytes(end - start)
    path.write_bytes(bytes(raw))
    part, said = _read(path)
    assert len(part) == 19
    assert "1 damaged packets" in said[0]
    assert capfd.readouterr().err == ""


def test_sound_without_pictures_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "sound.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(UnreadableError, match="no video stream"):
        _read(path)
