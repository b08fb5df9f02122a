"""Masks that lie beside their images under the image's name: "a.png" and "a_mask.png".

BUSI, the LGG set and others ship so. A mask is no training image. Where every image has exactly
one, they are attached as the images' masks; otherwise they are left out. Both are said.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from bench.data.folder_scan import Note

# "_mask", "-mask", "_mask_1", "_seg", "_Segmentation", "_gt", "_ground_truth", "_label2".
_WORD = re.compile(
    r"[-_. ](?:masks?|seg(?:mentation)?|gt|ground[-_ ]?truth|labels?|annotation)(?:[-_ ]?\d+)?$",
    re.IGNORECASE,
)
_LOSSLESS = (
    ".bmp",
    ".nii",
    ".nii.gz",
    ".pgm",
    ".png",
    ".tif",
    ".tiff",
)  # JPEG would blur the classes

File = tuple[str, Path]


def split_off(files: Sequence[File]) -> tuple[list[File], Mapping[str, Path], tuple[Note, ...]]:
    """(images, mask by the key of its image, notes). A mask needs an image of its base name."""
    stems = {_stem(key) for key, _ in files}
    images: list[File] = []
    masks: defaultdict[str, list[File]] = defaultdict(list)
    for key, path in files:
        base = _WORD.sub("", _stem(key))
        if base != _stem(key) and base in stems:
            masks[base].append((key, path))
        else:
            images.append((key, path))
    if not masks:
        return images, {}, ()
    names = tuple(key for group in masks.values() for key, _ in group)
    one_each = len({_stem(key) for key, _ in images}) == len(images) and all(
        len(masks[_stem(key)]) == 1 for key, _ in images
    )
    if one_each and all(key.lower().endswith(_LOSSLESS) for key in names):
        attached = {key: masks[_stem(key)][0][1] for key, _ in images}
        text = f"{len(names)} masks beside the images are kept as their masks, not as images"
        return images, attached, (Note(text=text),)
    text = f"{len(names)} masks beside {len(images)} images were left out: " + (
        "they are not lossless" if one_each else "not every image has exactly one"
    )
    return images, {}, (Note(text=text, files=names),)


def _stem(key: str) -> str:
    return PurePosixPath(key.removesuffix(".gz")).with_suffix("").as_posix()
