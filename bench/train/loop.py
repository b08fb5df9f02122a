"""The training loop: one step after another, read from top to bottom.

The state of a run is its network, optimizer, averages, log and nimg; `save` and `restore` hold all
of it. The log keeps the last LOG_SAMPLES samples, so that checkpoints do not grow with the run;
a step's loss and flags, 10 bytes, are kept of every step. Every draw is keyed by the sample's
global number, so a restored run is the same run to the bit; dropout masks are keyed by the first
sample of their micro-batch (another micro-batch size draws other masks). A loss or gradient that
is not finite raises Diverged before weights change; on a GPU it is read up to READ_STEPS later, and
the steps between change nothing. Of several workers (bench.train.parallel) each
takes its share of every batch; losses, log and all decisions are of the whole batch.
"""

from __future__ import annotations

import functools
import math
from collections import deque
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from bench.config import TrainConfig
from bench.errors import BenchError
from bench.streams import derive_seed
from bench.train import checkpoint
from bench.train.ema import Averages
from bench.train.flat import FlatParameters
from bench.train.objective import Objective, Source, Terms
from bench.train.optim import ELEMENTWISE, FUSED, make_optimizer, make_schedule
from bench.train.parallel import ALONE, Replicas, World

BESIDE = "beside/"  # begins the keys of a caller's own tensors in a checkpoint
READ_STEPS = 16  # whose loss and norm are read off a GPU at once: reading waits for all before
LOG_SAMPLES = 2**20  # of the stability log: the last so many, whatever the batch size


class Diverged(Exception):
    """The loss or the gradient is not finite; the message says which and where."""


@dataclass
class _Step:
    """What is to be read of a step, on its device until then."""

    nimg: int  # before it
    means: list[Tensor]  # float64, each micro-batch's part of the loss
    rows: list[tuple[Tensor, Tensor]]  # of each micro-batch: sigma and squared error, or nothing
    norm: Tensor = field(default_factory=lambda: torch.zeros(()))  # of the gradient

    @property
    def loss(self) -> Tensor:
        return functools.reduce(torch.add, self.means)

    def log(self) -> Tensor | None:
        """float32 [batch, 2], read off the device."""
        rows = [torch.stack([a.cpu(), b.cpu()], 1).float() for a, b in self.rows]
        return torch.cat(rows) if rows else None


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
        # a GPU goes on while its results are on the way; fused optimizers can leave out a step
        late = self.device.type == "cuda" and config.optimizer in FUSED and world.size == 1
        self.read_steps = READ_STEPS if late else 1
        self._unread: list[_Step] = []
        self._finite = torch.ones((), dtype=torch.bool, device=self.device)  # all steps so far

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
                step = self._accumulate_gradient()
            except RuntimeError as error:
                self._read()
                if self.micro_batch == 1 or not out_of_memory(error):
                    raise
                self.micro_batch = _next_divisor(self._share, self.micro_batch)
                continue
            step.norm = torch.nn.utils.get_total_norm(self.flat.gradients)
            self._unread.append(step)
            kept = None
            if self.read_steps == 1:
                self._read()
            else:
                self._finite &= step.loss.isfinite() & step.norm.isfinite()
                kept = self._finite.float()
                self.optimizer.found_inf = 1 - kept  # type: ignore[attr-defined]  # torch's own
            if self.config.grad_clip > 0:
                torch.nn.utils.clip_grads_with_norm_(
                    self.flat.trained, self.config.grad_clip, step.norm
                )
            self.schedule.step_update(self.nimg // self.config.batch_size)
            self.optimizer.step()
            self.nimg += self.config.batch_size
            self.averages.update(self.nimg, self.config.batch_size, kept)
            if len(self._unread) >= self.read_steps:
                self._read()
        self._read()

    def _read(self) -> None:
        """Losses, norms and logs of the steps since the last time, in one go; Diverged at the
        first that is not finite, as if none had followed: none changed a weight."""
        steps, self._unread = self._unread, []
        if not steps:
            return
        pairs = torch.stack([torch.stack([s.loss, s.norm.double()]) for s in steps]).tolist()
        for step, (loss, norm) in zip(steps, pairs, strict=True):
            finite = math.isfinite(loss) and math.isfinite(norm)
            self.losses.append(loss)
            self.flags.append((finite and 0 < self.config.grad_clip < norm, not finite))
            if not finite:
                self.nimg = step.nimg
                what = "loss" if not math.isfinite(loss) else "gradient norm"
                raise Diverged(f"{what} is not finite at nimg {self.nimg}")
            log = step.log()
            if log is not None:
                self.log.append(log)
                if (len(self.log) - 1) * self.config.batch_size >= LOG_SAMPLES:
                    self.log.popleft()

    def _accumulate_gradient(self) -> _Step:
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
                means.append(mean.detach().double())
                if terms.sigma is not None and terms.sq_error is not None:
                    rows.append((terms.sigma.detach(), terms.sq_error.detach()))
        replicas.backward(mean * world.size)  # DDP takes the mean over the workers
        return self._whole(_Step(self.nimg, means, rows))

    def _terms(self, first: int) -> tuple[Terms, Tensor]:
        """The terms of the micro-batch from sample `first` on, and its part of the mean loss."""
        samples = range(first, first + self.micro_batch)
        torch.manual_seed(derive_seed(self.seed, "dropout", first))
        batch = self.source.batch(samples, self.seed)
        bf16 = self.config.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            terms = self.replicas.terms(batch, samples, self.seed)
        return terms, terms.loss.sum() / self.config.batch_size

    def _whole(self, step: _Step) -> _Step:
        """The step of the whole batch, of what each worker has of it."""
        if self.world.size == 1:
            return step
        means, log = torch.stack(step.means).cpu(), step.log()
        parts = [means] + ([] if log is None else [log.double().flatten()])
        gathered = self.world.rows(torch.cat(parts))
        step.means = list(gathered[:, : len(means)].flatten())
        if log is not None:
            whole = gathered[:, len(means) :].float().reshape(-1, 2)
            step.rows = [(whole[:, 0], whole[:, 1])]
        return step

    @property
    def _share(self) -> int:
        """Samples of a batch that this worker takes."""
        return self.config.batch_size // self.world.size

    @property
    def lr(self) -> float:
        return float(self.optimizer.param_groups[0]["lr"])

    @property
    def state_bytes(self) -> int:
        """Of what a run holds between two steps: weights, gradients, moments, averages."""
        moments = tree_leaves(list(self.optimizer.state.values()))
        averages = [a for each in self.averages.weights.values() for a in each]  # views
        held = [*self.flat.buffers, *self.flat.gradients, *moments, *averages]
        storages = [t.untyped_storage() for t in held if isinstance(t, Tensor)]
        return sum({s.data_ptr(): s.nbytes() for s in storages}.values())

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
