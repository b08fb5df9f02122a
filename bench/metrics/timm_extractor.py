"""timm:MODEL[@FILE.safetensors]: the pooled features of any model of timm.

FD-DINOv2 (Stein et al. 2023, arXiv 2306.04675) is timm:vit_large_patch14_dinov2.lvd142m. Weights
are those of the hub, or of a file; safetensors alone, since others may run code when loaded. A
picture becomes a square of the model's own size, 224 px at most (which is FD-DINOv2's), by bicubic
interpolation with antialiasing, and is normalised as the model was trained. Ours: the resizer runs
where the model does, and is not PIL's.
"""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.doors import weights_of
from bench.errors import BenchError
from bench.metrics.extractors import Extractor, in_colour

MOST_PX = 224
HUB_SEC = 10.0  # to answer at all


class TimmExtractor(Extractor):
    """A model of timm without its classifier."""

    resizer = "torch-bicubic-antialias"
    batch_size = 64

    mean: Tensor
    std: Tensor

    def __init__(self, model: str = "", file: Path | None = None) -> None:
        """`model` with the weights of `file`, or of the hub.

        Raises:
            BenchError: timm has no such model, or there are no weights that fit it.
        """
        super().__init__()
        import timm
        from timm.data import resolve_model_data_config

        if not model:
            raise BenchError(
                "extractor timm needs a model: timm:MODEL, or timm:MODEL@FILE.safetensors"
            )
        if not timm.is_model(model):
            near = get_close_matches(model, timm.list_models(), n=3, cutoff=0.5)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise BenchError(f"timm has no model {model!r}{hint} (timm.list_models() has all)")
        trained = timm.get_pretrained_cfg(model)
        native = trained.input_size[-1] if trained is not None else MOST_PX
        net = _loaded(model, _of_hub(trained, model) if file is None else file, native)
        settings = resolve_model_data_config(net)
        net.reset_classifier(0)
        self.name = re.sub(r"[^a-z0-9]+", "_", model.lower()).strip("_")
        self.net = net
        self.input_size = min(int(settings["input_size"][-1]), MOST_PX)
        self.register_buffer("mean", torch.tensor(settings["mean"]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(settings["std"]).view(1, 3, 1, 1))
        with torch.inference_mode():
            one = net.eval()(torch.zeros(1, 3, self.input_size, self.input_size))
        if one.ndim != 2:
            raise BenchError(f"timm's {model} gives no vector of features, but {tuple(one.shape)}")
        self.num_features = int(one.shape[1])

    @classmethod
    def of(cls, spec: str) -> Callable[[], TimmExtractor]:
        """What builds "MODEL" or "MODEL@FILE.safetensors"."""
        file = weights_of(spec)
        model = spec.partition("@")[0]
        if "@" in spec and file is None:
            raise BenchError(
                f"extractor timm:{spec}: weights come from a .safetensors file, since others may "
                "run code when they are loaded (safetensors.torch.save_file converts)"
            )
        return lambda: cls(model, file)

    def forward(self, images: Tensor) -> Tensor:
        """uint8 [N, 1 or 3, H, W] -> [N, num_features]; oblong pictures become square."""
        x = in_colour(self.name, images).to(self.mean.dtype)
        size = (self.input_size, self.input_size)
        if x.shape[-2:] != size:
            x = F.interpolate(x, size=size, mode="bicubic", antialias=True).clamp(0, 255)
        features: Tensor = self.net((x / 255 - self.mean) / self.std)
        return features


def _loaded(model: str, file: Path, native_px: int) -> Any:
    """The model for pictures of at most MOST_PX, all its weights those of the file, as timm fits
    them to that size."""
    import timm

    if not file.is_file():
        raise BenchError(f"weights {file} of timm's {model} do not exist; give a .safetensors file")
    sizes = [{"img_size": MOST_PX}, {}] if native_px > MOST_PX else [{}]
    for size in sizes:
        try:
            with torch.random.fork_rng(devices=[]):  # it is drawn before it is loaded
                return timm.create_model(
                    model, pretrained=True, pretrained_cfg_overlay={"file": str(file)}, **size
                )
        except TypeError:  # convolutions take any size, and no such argument
            continue
        except Exception as error:  # of safetensors, of torch, of timm's own conversions
            told = " ".join(str(error).split())[:160]
            raise BenchError(f"weights {file} do not fit timm's {model}: {told}") from error
    raise BenchError(f"timm cannot make {model}; choose another model")


def _of_hub(trained: Any, model: str) -> Path:
    """The model's weights on the hub, from its cache or fetched."""
    from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache

    place = trained and trained.hf_hub_id
    if not place:
        raise BenchError(
            f"timm has no weights of {model}; give some: timm:{model}@FILE.safetensors"
        )
    name = trained.hf_hub_filename or "model.safetensors"
    kept = try_to_load_from_cache(place, name)
    if isinstance(kept, str):
        return Path(kept)
    try:
        # the hub's own client asks again for a minute where there is no network
        urllib.request.urlopen(f"{constants.ENDPOINT}/{place}", timeout=HUB_SEC).close()
        return Path(hf_hub_download(place, name))
    except Exception as error:  # of the network, of the hub
        told = (str(error) or type(error).__name__).splitlines()[0]
        raise BenchError(
            f"the weights of timm's {model} are not here and cannot be fetched "
            f"({told}); fetch {name} of {place} from the hub where there is a network and give it: "
            f"timm:{model}@FILE.safetensors"
        ) from error
