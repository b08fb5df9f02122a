"""inception: the Inception network of Heusel et al. 2017, through clean-fid; the one that is FID.

clean-fid (Parmar et al. 2022, arXiv 2104.11222) resizes each picture to 299 px with PIL's bicubic
in float32 and asks the TorchScript of StyleGAN2-ADA's authors, a copy of the original network. That
file runs code when it is loaded, so it is loaded only where its SHA-256 is the known one. It is
looked for in torch's own folder of checkpoints, and fetched there by clean-fid where a network is.
"""

from __future__ import annotations

import hashlib
import os
import socket
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from bench.errors import BenchError
from bench.metrics.extractors import Extractor, in_colour

FILE = "inception-2015-12-05.pt"
SHA256 = "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4"
FETCH_SEC = 20.0  # without a word from the server


class Inception(Extractor):
    """2048 features of pictures of one channel or three, as clean-fid's mode "clean" takes them."""

    name = "inception"
    num_features = 2048
    input_size = 299
    resizer = "clean-fid PIL bicubic float32"
    batch_size = 32  # at 299 px
    familiar: ClassVar[Mapping[str, str]] = {"fd": "fid", "fd_inf": "fid_inf", "kd": "kid"}

    def __init__(self, file: Path) -> None:
        """`file` holds the TorchScript, whose digest is verified here."""
        from cleanfid.inception_torchscript import InceptionV3W
        from cleanfid.resize import build_resizer

        super().__init__()
        found = digest_of(file)
        if found != SHA256:
            raise BenchError(
                f"{file} is not Inception as clean-fid gives it: its SHA-256 begins with "
                f"{found[:8]}, not {SHA256[:8]}; such a file runs code when it is loaded, so it is "
                "not loaded; delete it, or put the right one there"
            )
        with warnings.catch_warnings():  # torch says that TorchScript will go one day
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            self.net = InceptionV3W(str(file.parent), download=False)
        self._resized = build_resizer("clean")

    def forward(self, images: Tensor) -> Tensor:
        """uint8 [N, 1 or 3, H, W] -> float32 [N, 2048]."""
        pictures = in_colour(self.name, images).permute(0, 2, 3, 1).cpu().numpy()
        resized = np.stack([self._resized(picture) for picture in pictures])  # N 299 299 C, 0..255
        features: Tensor = self.net(torch.from_numpy(resized).permute(0, 3, 1, 2).to(images.device))
        return features


def build() -> Inception:
    """Inception from its file.

    Raises:
        BenchError: it is not there and cannot be fetched, or is another.
    """
    file = Path(torch.hub.get_dir()) / "checkpoints" / FILE
    if not file.is_file():
        _fetch(file)
    return Inception(file)


def digest_of(file: Path) -> str:
    """SHA-256 of a file, hex."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _fetch(file: Path) -> None:
    """clean-fid's own download, whole and verified or not at all."""
    from cleanfid.downloads_helper import check_download_inception, inception_url

    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(FETCH_SEC)  # clean-fid would wait for ever
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent) as folder:
            fetched = Path(check_download_inception(folder))
            if (found := digest_of(fetched)) != SHA256:
                raise BenchError(
                    f"what {inception_url} gave is not Inception as clean-fid knows it: its "
                    f"SHA-256 begins with {found[:8]}, not {SHA256[:8]}; it is thrown away"
                )
            os.replace(fetched, file)
    except OSError as error:
        told = (str(error) or type(error).__name__).splitlines()[0]
        raise BenchError(
            f"extractor inception needs {FILE}, which is not here and cannot be fetched "
            f"({told}); fetch {inception_url} where there is a network and put it at {file}"
        ) from error
    finally:
        socket.setdefaulttimeout(before)
