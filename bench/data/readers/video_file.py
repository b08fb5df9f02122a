"""One video file in and out, through PyAV (libav): the only module that imports av.

Decoding runs on one thread: clips are small, readers may run side by side, and frame threads
report errors late. Intra-coded video (MJPEG, as EchoNet-Dynamic's AVI) skips the packets of the
frames that are not wanted, about `every` times faster; other codecs must decode them all.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from bench.data.readers.reader import Mode, Pixels, UnreadableError, Warn

SUFFIXES = frozenset(
    {".avi", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".webm", ".wmv"}
)
_FORMATS = {"L": "gray", "RGB": "rgb24"}


def decode(path: Path, *, every: int, mode: Mode, warn: Warn) -> Iterator[Pixels]:
    """Frames 0, every, 2·every... of the first video stream: uint8 [H, W] or [H, W, 3].

    Damaged frames are left out and told to `warn`, as is a file that ends before its declared
    length. Raises UnreadableError when the file gives no frame at all.
    """
    av.logging.set_level(None)  # libav's own lines on stderr; what matters is raised or counted
    try:
        # opened here: libav takes odd characters in a path for a protocol or a pattern
        with path.open("rb") as file, av.open(file, "r") as container:
            if not container.streams.video:
                raise UnreadableError("no video stream in it")
            yield from _decode_stream(container, every, mode, warn)
    except (OSError, ValueError, av.error.FFmpegError) as error:  # av's errors derive from these
        raise UnreadableError(_reason(error)) from error


def _decode_stream(
    container: InputContainer, every: int, mode: Mode, warn: Warn
) -> Iterator[Pixels]:
    stream = container.streams.video[0]
    stream.thread_type = "NONE"
    converter = VideoReformatter()  # kept: setting one up costs more than a conversion
    seen = given = damaged = 0
    ended = ""
    skips = stream.codec.intra_only and every > 1
    packets = container.demux(stream)
    while not ended:
        try:
            packet = next(packets)
            if skips and packet.size and seen % every:
                seen += 1
                continue
            pictures = packet.decode()
        except StopIteration:
            break
        except (av.error.InvalidDataError, av.error.EOFError):
            damaged += 1
            seen += int(skips)
            continue
        except (OSError, av.error.FFmpegError) as error:
            ended = _reason(error)
            break
        for picture in pictures:
            assert isinstance(picture, VideoFrame)
            seen += 1
            if picture.is_corrupt:
                damaged += 1
            elif (seen - 1) % every == 0:
                given += 1
                pixels = converter.reformat(picture, format=_FORMATS[mode]).to_ndarray()
                yield np.ascontiguousarray(pixels)
    if not given:
        raise UnreadableError(ended or "no frame in it can be decoded")
    declared = stream.frames
    if ended or damaged or seen < declared - 1:
        lost = f"{declared - seen} of {declared} frames missing" if seen < declared else ""
        hurt = f"{damaged} damaged packets" if damaged else ""
        warn("; ".join(part for part in (lost, hurt, ended) if part))


def decode_deep_colour(path: Path, container_format: str) -> Pixels:
    """The picture in a 16-bit colour PNG or TIFF ("png_pipe", "tiff_pipe"): uint16 [H, W, 3]."""
    av.logging.set_level(None)
    try:
        with path.open("rb") as file, av.open(file, "r", format=container_format) as container:
            for picture in container.decode(video=0):
                return np.ascontiguousarray(picture.to_ndarray(format="rgb48le"))
    except (OSError, ValueError, av.error.FFmpegError) as error:
        raise UnreadableError(_reason(error)) from error
    raise UnreadableError("no picture in it can be decoded")


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return str(text).strip().rstrip(".").lower() or type(error).__name__


def encode(path: Path, frames: Pixels, *, fps: float, quality: int = 3) -> None:
    """Writes uint8 [T, H, W] as an MJPEG AVI, bit-exact for one libav build.

    quality is libav's quantiser scale, 2 (best) to 31. H and W must be even.
    """
    av.logging.set_level(None)
    with av.open(str(path), "w", format="avi", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("mjpeg", rate=round(fps))
        assert isinstance(stream, VideoStream)
        context: VideoCodecContext = stream.codec_context
        height, width = frames.shape[1:]
        context.height, context.width = height, width
        context.pix_fmt = "yuvj420p"
        context.thread_count = 1
        context.qmin = context.qmax = quality
        context.options = {"flags": "+bitexact"}
        # Planes of yuvj420p below each other: luma is the image (full range), chroma is neutral.
        planes = np.full((height * 3 // 2, width), 128, np.uint8)
        for pixels in frames:
            planes[:height] = pixels
            container.mux(stream.encode(VideoFrame.from_ndarray(planes, format="yuvj420p")))
        container.mux(stream.encode())
