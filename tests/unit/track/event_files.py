"""Reading TensorBoard's event files back: frames and checksums by hand, events by their protocol.

The checksum is CRC-32C (Castagnoli), bit by bit as RFC 3720 has it, masked as TFRecord files do.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

POLYNOMIAL = 0x82F63B78  # Castagnoli's, reflected


def masked_crc(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (POLYNOMIAL if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def events(file: Path) -> Iterator[Any]:
    """Every event of a file; fails where a frame is torn or a checksum is wrong."""
    from tensorboardX.proto.event_pb2 import Event

    data, at = file.read_bytes(), 0
    while at < len(data):
        length, check = struct.unpack_from("<QI", data, at)
        assert check == masked_crc(data[at : at + 8])
        body = data[at + 12 : at + 12 + length]
        (check,) = struct.unpack_from("<I", data, at + 12 + length)
        assert check == masked_crc(body)
        yield Event.FromString(body)
        at += 16 + length


def scalars(file: Path) -> dict[str, list[tuple[int, float]]]:
    """Tag -> (step, value), in the order they were written."""
    series: dict[str, list[tuple[int, float]]] = {}
    for event in events(file):
        for value in event.summary.value:
            if value.HasField("simple_value"):
                series.setdefault(value.tag, []).append((event.step, value.simple_value))
    return series


def texts(file: Path) -> dict[str, list[str]]:
    shown: dict[str, list[str]] = {}
    for event in events(file):
        for value in event.summary.value:
            if value.metadata.plugin_data.plugin_name == "text":
                tag = value.tag.removesuffix("/text_summary")
                shown.setdefault(tag, []).append(value.tensor.string_val[0].decode())
    return shown


def hyperparameters(file: Path) -> list[Any]:
    """What the HPARAMS tab reads: experiment, start and end of the session."""
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

    return [
        HParamsPluginData.FromString(value.metadata.plugin_data.content)
        for event in events(file)
        for value in event.summary.value
        if value.metadata.plugin_data.plugin_name == "hparams"
    ]


def pictures(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Tag -> (width, height, file), of every picture in a trial's folder."""
    return {
        value.tag: (value.image.width, value.image.height, value.image.encoded_image_string)
        for file in sorted(folder.iterdir())
        for event in events(file)
        for value in event.summary.value
        if value.HasField("image")
    }
