"""One trial over several processes: who takes which samples, and how all stay together.

torch.distributed only. Rank r of W takes samples [r B/W, (r+1) B/W) of each batch of B; every draw
is keyed by the sample's global number, so W workers draw what one would, and DDP's average of the
gradients is the mean over the whole batch. All ranks hold the same state; rank 0 alone reads and
writes the trial's folder and speaks to the outside.

Every method of World is a collective: all ranks call the same ones in the same order. An error of
one rank is raised by all (`together`), so that all diverge, halve their micro-batch or give up at
once. What cannot be agreed on any more, since a worker is gone, is WorkerLost: it says nothing of
the trial, which is taken up again from its last checkpoint.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from bench.predictions import Cases, Predictions, Predictor
from bench.train import batch_norm
from bench.train.objective import Batch, Objective, Terms

T = TypeVar("T")
# A rank waits while rank 0 measures, saves or waits to be told to go on. One that died is noticed
# by its closed connection, not by this.
PATIENCE = timedelta(days=7)


class WorkerLost(Exception):
    """Another worker of the trial is gone."""


class World:
    """The processes of a trial. One alone is World(): its methods do nothing of their own."""

    def __init__(self, rank: int = 0, size: int = 1, group: Any = None) -> None:
        self.rank, self.size = rank, size
        self._group = group

    @classmethod
    def joined(cls) -> World:
        """The world of torch's process group, which is up. A group of its own on the CPU carries
        what is said beside the gradients, so that no GPU waits in a collective."""
        group = dist.new_group(backend="gloo", timeout=PATIENCE)
        return cls(dist.get_rank(), dist.get_world_size(), group)

    def part(self, total: int) -> range:
        """This rank's share of `total` things, in order: equal where the ranks divide them."""
        return range(self.rank * total // self.size, (self.rank + 1) * total // self.size)

    @contextmanager
    def together(self) -> Iterator[None]:
        """All ranks go through the block; where one fails, all raise the first failing rank's
        error. No collective may stand inside that a failing rank would miss.

        Raises:
            WorkerLost: a worker is gone.
        """
        if self.size == 1:
            yield
            return
        failure: Exception | None = None
        try:
            yield
        except WorkerLost:
            raise
        except Exception as error:
            failure = error
        failed = torch.tensor(failure is not None, dtype=torch.int32)
        self._call(dist.all_reduce, failed, op=dist.ReduceOp.MAX)
        if failed:
            everyone: list[bytes | None] = [None] * self.size
            self._call(dist.all_gather_object, everyone, _packed(failure, self.rank))
            first = next(rank for rank, packed in enumerate(everyone) if packed is not None)
            if failure is not None and first == self.rank:
                raise failure
            raise pickle.loads(everyone[first] or b"")

    def share(self, make: Callable[[], T]) -> T:
        """What `make` returns on rank 0, the only one to call it; its error is raised by all."""
        if self.size == 1:
            return make()
        box: list[Any] = [None]
        with self.together():
            if self.rank == 0:
                box = [make()]
        self._call(dist.broadcast_object_list, box, src=0)
        result: T = box[0]
        return result

    def rows(self, values: Tensor) -> Tensor:
        """Every rank's `values` float64 [n], in rank order: [W, n]."""
        if self.size == 1:
            return values[None]
        everyones = [torch.empty_like(values) for _ in range(self.size)]
        self._call(dist.all_gather, everyones, values)
        return torch.stack(everyones)

    def heard(self, reports: Iterator[T]) -> Iterator[T]:
        """Reports, of rank 0 to the outside; the others hold theirs back and wait until rank 0 is
        told to go on, or end where it is told to stop."""
        if self.size == 1:
            yield from reports
            return
        for report in reports:
            go_on = [True]
            if self.rank == 0:
                try:
                    yield report
                except GeneratorExit:
                    self._call(dist.broadcast_object_list, [False], src=0)
                    raise
            self._call(dist.broadcast_object_list, go_on, src=0)
            if not go_on[0]:
                return

    def lead(
        self,
        predictor: Predictor,
        make_cases: Callable[..., Cases],
        evaluate: Callable[[Predictor], T],
    ) -> T:
        """Rank 0 evaluates the predictor; the others predict their share of the cases when it
        asks. They make the same cases from the key of rank 0's.

        Returns rank 0's evaluation on all ranks.
        """
        if self.size == 1:
            return evaluate(predictor)
        result: Any = None
        with self.together():
            if self.rank == 0:
                try:
                    result = evaluate(_Shared(predictor, self))
                finally:
                    self._call(dist.broadcast_object_list, [None], src=0)
            else:
                self._serve(predictor, make_cases)
        return self.share(lambda: result)

    def predicted(self, predictor: Predictor, cases: Cases) -> Predictions | None:
        """Cases predicted by all ranks, each its share; whole on rank 0."""
        with self.together():
            share = predictor.predict_some(cases, self.part(cases.count))
        parts: list[Any] | None = [None] * self.size if self.rank == 0 else None
        self._call(dist.gather_object, share, parts, dst=0)
        return None if parts is None else Predictions.joined(parts)

    def ask(self, key: tuple[Any, ...]) -> None:
        """Rank 0 asks the others, which serve, to predict the cases of this key."""
        self._call(dist.broadcast_object_list, [key], src=0)

    def _serve(self, predictor: Predictor, make_cases: Callable[..., Cases]) -> None:
        while True:
            key: list[Any] = [None]
            self._call(dist.broadcast_object_list, key, src=0)
            if key[0] is None:
                return
            try:
                self.predicted(predictor, make_cases(*key[0]))
            except WorkerLost:
                raise
            except Exception:
                continue  # rank 0 has it too, and says how the evaluation ends

    def _call(self, collective: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        with _losing():
            collective(*args, group=self._group, **kwargs)


ALONE = World()


class _Shared:
    """A predictor whose cases are predicted by all ranks; the rest of it is rank 0's alone."""

    def __init__(self, predictor: Predictor, world: World) -> None:
        self._predictor, self._world = predictor, world
        self.nets, self.denoise = predictor.nets, predictor.denoise
        self.reconstruct = getattr(predictor, "reconstruct", None)

    def predict(self, cases: Cases) -> Predictions:
        self._world.ask(cases.key)
        predictions = self._world.predicted(self._predictor, cases)
        assert predictions is not None
        return predictions

    def predict_some(self, cases: Cases, places: range) -> Predictions:
        return self._predictor.predict_some(cases, places)


class Replicas:
    """An objective on every rank, its gradients averaged in the last backward of each step.

    Batch normalisation is over the whole batch, by torch's SyncBatchNorm on GPUs.

    Raises:
        BenchError: it cannot be, on the CPU.
    """

    def __init__(self, objective: Objective, world: World, device: str = "cpu") -> None:
        self.objective, self.world = objective, world
        batch_norm.synchronise(objective.net, device, world.size)
        self._averaged: DistributedDataParallel | None = None
        self._tried = 0  # the micro-batch size that is known to fit

    def terms(self, batch: Batch, samples: Sequence[int], seed: int) -> Terms:
        if self._averaged is None:
            return self.objective.terms(batch, samples, seed)
        terms: Terms = self._averaged(batch, samples, seed)
        return terms

    def apart(self) -> AbstractContextManager[None]:
        """Gradients of this block stay on their rank, and are added to those that follow."""
        if self._averaged is None:
            return nullcontext()
        quiet: AbstractContextManager[None] = self._averaged.no_sync()
        return quiet

    def backward(self, loss: Tensor) -> None:
        """The backward of a step's last micro-batch, with all ranks.

        Raises:
            WorkerLost: this rank or another failed where it can no more be agreed on.
        """
        if self._averaged is None:
            loss.backward()
            return
        with _losing():
            loss.backward()

    def settle(self, micro_batch: int, loss: Callable[[], Tensor]) -> None:
        """Before the first step at a micro-batch size: try it, with `loss` of one micro-batch.

        First apart, so that what does not fit is an error of all ranks; inside DDP's own backward
        it would leave the others waiting. Then with DDP, which puts its buckets in the order of
        the first backward: a run that goes on from a checkpoint adds in the same order as one
        that never stopped. Gradients are begun anew and left behind; buffers are put back.
        """
        if self.world.size == 1 or micro_batch == self._tried:
            return
        net = self.objective.net
        buffers = [b.clone() for b in net.buffers()]
        net.zero_grad(set_to_none=True)
        with self.world.together(), self.apart(), batch_norm.unsynchronised(net):
            loss().backward()
        if self._averaged is None:
            idle = any(p.requires_grad and p.grad is None for p in net.parameters())
            idle = self.world.share(lambda: idle)
            with _losing():
                self._averaged = DistributedDataParallel(
                    _Forward(self.objective), find_unused_parameters=idle
                )
        with self.world.together():
            once = loss()
        self.backward(once)
        for buffer, before in zip(net.buffers(), buffers, strict=True):
            buffer.data.copy_(before)
        self._tried = micro_batch


class _Forward(nn.Module):
    """An objective's terms as a forward: DDP averages what it has seen the forward of."""

    def __init__(self, objective: Objective) -> None:
        super().__init__()
        self.net = objective.net
        self._terms = objective.terms

    def forward(self, batch: Batch, samples: Sequence[int], seed: int) -> Terms:
        return self._terms(batch, samples, seed)


@contextmanager
def _losing() -> Iterator[None]:
    """An error of a collective is a lost worker: backends raise RuntimeError for it."""
    try:
        yield
    except RuntimeError as error:
        first = (str(error) or type(error).__name__).splitlines()[0]
        raise WorkerLost(f"a worker of the trial was lost: {first}") from error


def _packed(error: Exception | None, rank: int) -> bytes | None:
    """An error for the other ranks; one that cannot travel as a RuntimeError of its text."""
    if error is None:
        return None
    try:
        packed = pickle.dumps(error)
        pickle.loads(packed)
    except Exception:
        packed = pickle.dumps(RuntimeError(f"{type(error).__name__} on worker {rank}: {error}"))
    return packed
