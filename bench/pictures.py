"""Grids of pictures as PNG files; of a volume its middle slice is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

COLUMNS = 8
SMALLEST_SIDE = 64  # smaller pictures are enlarged by whole factors, so that a person sees them


def save_grid(images: np.ndarray[Any, Any], path: Path, columns: int = COLUMNS) -> None:
    """uint8 N C H W or N C D H W -> a PNG of rows of `columns` pictures."""
    from torchvision.utils import save_image

    if images.ndim == 5:
        images = images[:, :, images.shape[2] // 2]
    factor = max(1, SMALLEST_SIDE // images.shape[-1])
    large = images.repeat(factor, axis=-1).repeat(factor, axis=-2)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_image(torch.from_numpy(large).float() / 255, path, nrow=columns, padding=2, pad_value=0.2)
