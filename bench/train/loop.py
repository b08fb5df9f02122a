"""The training loop: one step after another, read from top to bottom.

The state of a run is its network, optimizer, averages, log and nimg; `save` and `restore` hold all
of it. The log keeps the last LOG_SAMPLES samples, so that checkpoints do not grow with the run;
a step's loss and flags, 10 bytes, are kept of every step. Every draw is keyed by the sample's
global number, so a restored run is the same run to the bit; dropout masks are keyed by the first
sample of their micro-batch (another micro-batch size draws other masks). A loss or gradient that
is not finite raises Diverged before weights change. Of several workers (bench.train.parallel) each
takes its share of every batch; losses, log and all decisions are of the whole batch.
"""

from __future__ import annotations

import math
from collections import deque
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.config import TrainConfig
from bench.errors import BenchError
from bench.streams import derive_seed
from bench.train import checkpoint
from bench.train.ema import Averages
from bench.train.flat import FlatParameters
from bench.train.objective import Objective, Source, Terms
from bench.train.optim import ELEMENTWISE, make_optimizer, make_schedule
from bench.train.parallel import ALONE, Replicas, World

BESIDE = "beside/"  # begins the keys of a caller's own tensors in a checkpoint
LOG_SAMPLES = 2**20  # of the stability log: the last so many, whatever the batch size


class Diverged(Exception):
    """The loss or the gradient is not finite; the message says which and where."""


class Training:
    """A run in progress. One thread; owns the network's optimizer, averages and log."""

    def __init__(
        self,
        config: TrainConfig,
        objective: Objective,
        source: Source,
        seed: int,
        identity: str,
        world: World = ALONE,
    ) -> None:
        self.config, self.objective, self.source, self.seed = config, objective, source, seed
        self.world, self.replicas = world, Replicas(objective, world, config.device)
        self.identity = identity  # trial_id: a checkpoint of another trial is refused
        self.device = torch.device(config.device)
        self.parameters = [p for p in objective.net.parameters() if p.requires_grad]
        self.flat = FlatParameters(objective.net)
        self._flat_optimizer = config.optimizer in ELEMENTWISE
        optimized = self.flat.trained if self._flat_optimizer else self.parameters
        self.optimizer = make_optimizer(optimized, config)
        self.schedule = make_schedule(self.optimizer, config)
        self.averages = Averages(
            objective.net, self.flat, config.ema_sigma_rel, config.ema_short_nimg
        )
        self.micro_batch = config.micro_batch
        self.nimg = 0
        self.losses: list[float] = []  # one a step, weighted
        self.flags: list[tuple[bool, bool]] = []  # one a step: clipped, non-finite
        self.log: deque[Tensor] = deque()  # a step: [batch, 2] sigma and squared error of D
        self.beside: dict[str, Tensor] = {}  # of the caller's own, in every checkpoint

    def advance(self, until_nimg: int) -> None:
        """Train until `until_nimg` images have been seen.

        Raises:
            Diverged: a loss or gradient is not finite.
            RuntimeError: one sample at a time does not fit; `out_of_memory` tells it.
            WorkerLost: another worker is gone.
        """
        self.objective.net.train()
        while self.nimg < until_nimg:
            try:
                loss, log = self._accumulate_gradient()
            except RuntimeError as error:
                if self.micro_batch == 1 or not out_of_memory(error):
                    raise
                self.micro_batch = _next_divisor(self._share, self.micro_batch)
                continue
            norm = torch.nn.utils.get_total_norm(self.flat.gradients)
            finite = math.isfinite(loss) and math.isfinite(float(norm))
            clipped = finite and 0 < self.config.grad_clip < float(norm)
            self.losses.append(loss)
            self.flags.append((clipped, not finite))
            if not finite:
                what = "loss" if not math.isfinite(loss) else "gradient norm"
                raise Diverged(f"{what} is not finite at nimg {self.nimg}")
            if log is not None:
                self.log.append(log)
                if (len(self.log) - 1) * self.config.batch_size >= LOG_SAMPLES:
                    self.log.popleft()
            if self.config.grad_clip > 0:
                torch.nn.utils.clip_grads_with_norm_(self.flat.trained, self.config.grad_clip, norm)
            self.schedule.step_update(self.nimg // self.config.batch_size)
            self.optimizer.step()
            self.nimg += self.config.batch_size
            self.averages.update(self.nimg, self.config.batch_size)

    def _accumulate_gradient(self) -> tuple[float, Tensor | None]:
        """Gradients of one batch, by micro-batches; the mean loss and the batch's log."""
        world, replicas = self.world, self.replicas
        first = self.nimg + world.rank * self._share
        replicas.settle(self.micro_batch, lambda: self._terms(first)[1])
        self.flat.zero_gradients()
        means, rows = [], []
        with world.together():
            for start in range(first, first + self._share, self.micro_batch):
                last = start + self.micro_batch == first + self._share
                with nullcontext() if last else replicas.apart():
                    terms, mean = self._terms(start)
                    if not last:
                        (mean * world.size).backward()
                means.append(float(mean.detach()))
                if terms.sigma is not None and terms.sq_error is not None:
                    pair = [terms.sigma.detach().cpu(), terms.sq_error.detach().cpu()]
                    rows.append(torch.stack(pair, 1).float())
        replicas.backward(mean * world.size)  # DDP takes the mean over the workers
        return self._whole(means, torch.cat(rows) if rows else None)

    def _terms(self, first: int) -> tuple[Terms, Tensor]:
        """The terms of the micro-batch from sample `first` on, and its part of the mean loss."""
        samples = range(first, first + self.micro_batch)
        torch.manual_seed(derive_seed(self.seed, "dropout", first))
        batch = self.source.batch(samples, self.seed)
        bf16 = self.config.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            terms = self.replicas.terms(batch, samples, self.seed)
        return terms, terms.loss.sum() / self.config.batch_size

    def _whole(self, means: list[float], log: Tensor | None) -> tuple[float, Tensor | None]:
        """Loss and log of the whole batch, of what each worker has of them."""
        if self.world.size == 1:
            return sum(means), log
        parts = [torch.tensor(means, dtype=torch.float64)]
        parts += [] if log is None else [log.double().flatten()]
        gathered = self.world.rows(torch.cat(parts))
        total = sum(gathered[:, : len(means)].flatten().tolist())
        return total, None if log is None else gathered[:, len(means) :].float().reshape(-1, 2)

    @property
    def _share(self) -> int:
        """Samples of a batch that this worker takes."""
        return self.config.batch_size // self.world.size

    @property
    def lr(self) -> float:
        return float(self.optimizer.param_groups[0]["lr"])

    def stability_log(self) -> dict[str, np.ndarray[Any, Any]]:
        """step, sigma, sq_error of the last LOG_SAMPLES samples; clipped, nonfinite, loss of every
        step; `dropped`: how many samples came before those."""
        log = torch.cat(list(self.log)).numpy() if self.log else np.empty((0, 2), np.float32)
        steps = self.nimg // self.config.batch_size
        step = np.repeat(np.arange(steps - len(self.log), steps), self.config.batch_size)
        log, step = log[-LOG_SAMPLES:], step[-LOG_SAMPLES:]
        flags = np.array(self.flags, dtype=bool).reshape(-1, 2)
        return {
            "step": step,
            "sigma": log[:, 0],
            "sq_error": log[:, 1],
            "clipped": flags[:, 0],
            "nonfinite": flags[:, 1],
            "loss": np.array(self.losses),
            "dropped": np.array(self.nimg - len(log) if self.log else 0),
        }

    def save(self, folder: Path, extra: dict[str, Any]) -> Path:
        """Write a checkpoint of everything, with the caller's own scalars in `extra`."""
        tensors = {f"net/{k}": v for k, v in self.objective.net.state_dict().items()}
        for key in self.averages.weights:
            named = self.averages.named(key)
            tensors |= {f"ema/{key}/{name}": value for name, value in named.items()}
        tensors |= {f"{BESIDE}{name}": value for name, value in self.beside.items()}
        moments = self.optimizer.state_dict()
        moments = self.flat.apart(moments) if self._flat_optimizer else moments
        optimizer = checkpoint.pack(moments, "opt", tensors)
        if self.log:
            tensors["log"] = torch.cat(list(self.log))
        tensors["losses"] = torch.tensor(self.losses, dtype=torch.float64)
        tensors["flags"] = torch.tensor(self.flags, dtype=torch.bool).reshape(-1, 2)
        meta = {
            "identity": self.identity,
            "nimg": self.nimg,
            "micro_batch": self.micro_batch,
            "optimizer": optimizer,
            "extra": extra,
        }
        path = checkpoint.path_at(folder, self.nimg)
        checkpoint.write(path, tensors, meta)
        checkpoint.retain(folder, path)
        return path

    def restore(self, path: Path) -> dict[str, Any]:
        """Take everything up again from a checkpoint; the caller's `extra` comes back.

        Raises:
            BenchError: the file is broken or belongs to another trial.
        """
        tensors, meta = self.world.share(lambda: checkpoint.read(path))
        if meta["identity"] != self.identity:
            raise BenchError(f"checkpoint {path.name} belongs to trial {meta['identity']}")
        net = {k[4:]: v for k, v in tensors.items() if k.startswith("net/")}
        self.objective.net.load_state_dict(net)
        for key, average in self.averages.weights.items():
            for name, value in zip(self.averages.names, average, strict=True):
                value.copy_(tensors[f"ema/{key}/{name}"])
        moments = checkpoint.unpack(meta["optimizer"], tensors)
        moments = self.flat.joined(moments) if self._flat_optimizer else moments
        checkpoint.load_optimizer(self.optimizer, moments)
        self.beside = {
            k.removeprefix(BESIDE): v for k, v in tensors.items() if k.startswith(BESIDE)
        }
        self.nimg, self.micro_batch = meta["nimg"], meta["micro_batch"]
        self.losses = tensors["losses"].tolist()
        self.flags = [(c, n) for c, n in tensors["flags"].tolist()]
        whole = tensors.get("log")
        self.log = deque(whole.split(self.config.batch_size) if whole is not None else ())
        extra: dict[str, Any] = meta["extra"]
        return extra


def out_of_memory(error: BaseException) -> bool:
    """Whether it says that memory ran out: torch raises a bare RuntimeError for that on a CPU."""
    kinds = (torch.OutOfMemoryError, MemoryError)
    return isinstance(error, kinds) or "can't allocate memory" in str(error)


def _next_divisor(batch: int, below: int) -> int:
    """The largest divisor of the batch smaller than `below`."""
    return next(d for d in range(below - 1, 0, -1) if batch % d == 0)
