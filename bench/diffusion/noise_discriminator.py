"""A discriminator of real and generated pictures at all noise levels, scaled as EDM scales.

What the guidance `discriminator` needs: the logit log(p / (1 - p)) of the unscaled state
x = y + sigma n, p being the probability that y is real. Kim et al. 2023 (arXiv 2211.17091); input
and noise level are scaled by Karras et al. 2022 (arXiv 2206.00364), Table 1: c_in and ln(sigma)/4.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from bench.diffusion.preconditioning.scheme import Preconditioning


class Discriminator(nn.Module):
    """logit(x, sigma) of one network and the scheme that scales for it. Owns the network.

    The network is called as `net(c_in x, c_noise [N])` in its parameters' dtype and declares
    `c_noise_range`, onto which the scheme's is mapped linearly. Draws nothing.
    """

    def __init__(self, net: nn.Module, precond: Preconditioning) -> None:
        super().__init__()
        self.net, self.precond = net, precond
        resolved: Any = net.c_noise_range
        low, high = precond.c_noise_range()
        self._scale = (resolved[1] - resolved[0]) / (high - low)
        self._offset = resolved[0] - self._scale * low

    def forward(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """x [N, C, H, W] at noise sigma ([N] or one number > 0) -> logits [N], float32 or the
        network's dtype; differentiable in x."""
        level = torch.as_tensor(sigma, dtype=torch.float64, device=x.device).expand(len(x))
        scales = self.precond.coefficients(level)
        c_noise = self._offset + self._scale * scales.c_noise
        dtype = next(self.net.parameters()).dtype
        scaled = scales.c_in.to(x.dtype).view(-1, *(1,) * (x.ndim - 1)) * x
        logits: Tensor = self.net(
            scaled.to(dtype), c_noise.to(torch.promote_types(dtype, torch.float32))
        )
        return logits
