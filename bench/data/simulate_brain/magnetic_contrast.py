"""From tissues to the four modalities: signal, texture, blur, bias field and Rician noise.

The signal of a voxel is the mean of its tissues', by their shares. The coil's sensitivity is a
smooth factor of its own for each modality; noise is that of a magnitude image (Gudbjartsson and
Patz 1995). Each modality has its own arbitrary unit, as scanners have.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from bench.data.readers.brats_layout import MODALITIES
from bench.data.simulate_brain.random_waves import F, draw_waves
from bench.streams import stream

TISSUES = ("white", "grey", "fluid", "oedema", "enhancing", "dead", "solid", "spots")
# Signal by tissue, in the order of TISSUES; white matter is about 1 in T1.
SIGNALS: Mapping[str, tuple[float, ...]] = {
    "t1": (1.00, 0.66, 0.27, 0.70, 0.68, 0.42, 0.62, 0.88),
    "t1ce": (1.00, 0.68, 0.28, 0.70, 1.62, 0.40, 0.64, 0.88),
    "t2": (0.46, 0.74, 1.55, 1.12, 0.88, 1.30, 1.15, 0.80),
    "flair": (0.58, 0.78, 0.22, 1.40, 1.02, 0.72, 1.22, 1.15),
}
_BIAS = 0.10  # standard deviation of the logarithm of the coil's sensitivity
_TEXTURE = 0.035


def modality(
    name: str,
    shares: Mapping[str, F],
    vessels: F,
    points: F,
    where: NDArray[np.bool_],
    voxel: float,
    variant: int,
) -> NDArray[np.int16]:
    """int16, of the shape of `where`, 0 outside of it.

    shares: of each tissue, float32 [N] for the N voxels of `where`; vessels: how much of each
    takes up contrast agent without being tumour. points: [N, 3] mm.
    """
    rng = stream(variant, f"modality {name}", MODALITIES.index(name))
    spread = rng.normal(1, 0.05, len(TISSUES)).astype(np.float32)
    signal = np.zeros(len(points), np.float32)
    for tissue, base, factor in zip(TISSUES, SIGNALS[name], spread, strict=True):
        signal += np.float32(base) * factor * shares[tissue]
    if name == "t1ce":
        signal += np.float32(0.9) * vessels
    patchy = draw_waves(rng, 13.0).at(points)
    uneven = (
        shares["dead"] + shares["enhancing"] + shares["solid"] + np.float32(0.5) * shares["oedema"]
    )
    signal *= 1 + np.float32(0.07) * patchy * uneven
    signal *= 1 + np.float32(_TEXTURE) * draw_waves(rng, 14.0).at(points)
    volume = np.zeros(where.shape, np.float32)
    volume[where] = signal
    # A slice of T2 or FLAIR is often thick: blurred along one axis more than along the others.
    blur = np.full(3, rng.uniform(0.35, 0.75))
    if name in ("t2", "flair"):
        blur[2] *= rng.uniform(1.0, 2.2)
    sigma = blur / voxel
    weight = gaussian_filter(where.astype(np.float32), sigma)
    seen = (gaussian_filter(volume, sigma) / np.maximum(weight, 0.05))[where]
    seen *= np.exp(np.float32(_BIAS) * draw_waves(rng, 260.0, 12).at(points))
    noise = np.float32(rng.uniform(0.012, 0.035))
    real = seen + noise * rng.standard_normal(len(seen), np.float32)
    magnitude = np.hypot(real, noise * rng.standard_normal(len(seen), np.float32))
    unit = float(np.exp(rng.uniform(np.log(180), np.log(900))))
    stored = np.zeros(where.shape, np.int16)
    stored[where] = np.clip(np.rint(unit * magnitude), 1, 32767).astype(np.int16)
    return stored
