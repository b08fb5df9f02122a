"""The training log of the seed document, as far as it can be read: data, with its source.

"Applying Fast-DDPM to CheXpert: A Study in Medical Image Denoising", section 4.4: 39 lines of
the training's output of 2024-12-08. Ten lines of the document hold no step and no loss.
"""

from __future__ import annotations

from functools import lru_cache

from bench.metrics.loss_log import LossLog, parse_loss_log

SOURCE = "Applying Fast-DDPM to CheXpert: A Study in Medical Image Denoising, section 4.4"
PIXELS = 256 * 256  # of a picture there: the published network's size
NOISE_STEPS = 10  # of Fast-DDPM: a training step's t is one of so many

TEXT = """\
2024-12-08 13:55:17,910 step: 6784, loss: 577.8223876953125
step: ?, loss: ?
2024-12-08 13:55:21,965 step: 6786, loss: 59.16618347167969
2024-12-08 13:55:23,901 step: 6787, loss: 11340.7978515625
2024-12-08 13:55:25,997 step: 6788, loss: 205.2666473388672
2024-12-08 13:55:27,917 step: 6789, loss: 355.2930603027344
2024-12-08 13:55:29,862 step: 6790, loss: 84.0157470703125
2024-12-08 13:55:31,953 step: 6791, loss: 11319.2236328125
2024-12-08 13:55:33,854 step: 6792, loss: 11587.533203125
2024-12-08 13:55:35,763 step: 6793, loss: 21243.203125
2024-12-08 13:55:37,899 step: 6794, loss: 10611.267578125
2024-12-08 13:55:40,154 step: 6795, loss: 394.4807434082031
2024-12-08 13:55:42,174 step: 6796, loss: 360.32562255859375
2024-12-08 13:55:44,110 step: 6797, loss: 22187.427734375
2024-12-08 13:55:46,358 step: 6798, loss: 9934.3828125
2024-12-08 13:55:48,401 step: 6799, loss: 454.50396728515625
2024-12-08 13:55:50,545 step: 6800, loss: 10697.6591796875
2024-12-08 13:55:52,571 step: 6801, loss: 292.8189697265625
2024-12-08 13:55:54,582 step: 6802, loss: 9208.9296875
2024-12-08 13:55:56,655 step: 6803, loss: 328.535888671875
2024-12-08 13:55:58,449 step: 6804, loss: 11447.076171875
2024-12-08 13:56:00,538 step: 6805, loss: 10166.4208984375
2024-12-08 13:56:02,598 step: 6806, loss: 511.2784423828125
2024-12-08 13:56:04,625 step: 6807, loss: 446.2170104980469
2024-12-08 13:56:06,538 step: 6808, loss: 349.7598571777344
step: ?, loss: ?
2024-12-08 13:56:10,534 step: 6810, loss: 219.03692626953125
step: ?, loss: ?
step: ?, loss: ?
2024-12-08 13:56:16,334 step: 6813, loss: 11306.78515625
2024-12-08 13:56:18,482 step: 6814, loss: 21949.77734375
step: ?, loss: ?
2024-12-08 13:56:22,494 step: 6816, loss: 10279.7607421875
step: ?, loss: ?
step: ?, loss: ?
step: ?, loss: ?
step: ?, loss: ?
step: ?, loss: ?
2024-12-08 13:56:34,483 step: 6822, loss: 124.05313110351562
"""


@lru_cache(maxsize=1)
def seed_log() -> LossLog:
    """Steps and losses of the lines that can be read."""
    return parse_loss_log(TEXT)
