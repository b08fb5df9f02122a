"""Throughput and memory: seconds and images per phase, and peak memory reset for each trial."""

from __future__ import annotations

import ctypes
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch

from bench.metrics.energy import Counter
from bench.predictions import Cases, Predictor
from leaderboards.measures import Measure

ALONE_TIMES = 3  # timings of one case by itself
Phase = Literal["train", "sample", "measure", "save"]
PHASES: tuple[Phase, ...] = get_args(Phase)
GB, J_PER_WH = 1e9, 3600.0
TRAINING_GB = "throughput/training_mem_gb"
RESET_PEAK = "5"  # see proc_pid_clear_refs(5)
MEASURES = (
    Measure(
        key="throughput/train_img_per_sec",
        title="train img/s",
        direction="higher",
        drop=3,
        live=True,
    ),
    Measure(key="throughput/sample_img_per_sec", title="sample img/s", direction="higher", drop=13),
    Measure(key="throughput/sample_sec_per_img", title="sample s/img", direction="lower", drop=17),
    Measure(
        key="throughput/sec_per_image_alone",
        title="s/image alone",
        direction="lower",
        drop=12,
        meaning="predicting one case by itself, after warm-up; the median of 3",
    ),
    Measure(key="throughput/peak_mem_gb", title="peak GB", direction="lower", digits=2, drop=14),
    Measure(
        key=TRAINING_GB,
        title="training GB",
        direction="lower",
        digits=2,
        drop=15,
        meaning="measured: weights, gradients, moments and averages, and what a step of training "
        "holds beside them; without the process itself",
    ),
    Measure(
        key="throughput/energy_wh",
        title="energy Wh",
        direction="lower",
        drop=7,
        meaning="counted by the device over training, sampling and measuring, with whatever else "
        "ran on it",
    ),
    Measure(key="throughput/train_j_per_img", title="train J/img", direction="lower", drop=12),
)


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """Wall seconds and images of each phase; rates are None where a phase saw no image."""

    train_sec: float
    sample_sec: float
    measure_sec: float
    save_sec: float
    train_images: int
    sample_images: int
    train_img_per_sec: float | None
    sample_img_per_sec: float | None
    sample_sec_per_img: float | None
    energy_wh: float | None = None  # of all phases, where the device counts it
    train_j_per_img: float | None = None

    @property
    def metrics(self) -> dict[str, float]:
        """What MEASURES name, where it is known."""
        known = {m.key: getattr(self, m.key.partition("/")[2], None) for m in MEASURES}
        return {key: value for key, value in known.items() if value is not None}


class Stopwatch:
    """Wall seconds in each phase of a trial; one phase at a time.

        with watch.phase("train") as add:
            ...; add(batch_size)

    On CUDA the device is waited for at both ends of a phase, so queued work counts where it was
    queued. Where the device counts energy (`joules`), a phase has it beside its seconds. `state()`
    goes into a checkpoint; `restore` takes it back, and seconds go on adding.
    A phase left by an exception still counts its seconds.
    """

    def __init__(
        self,
        device: str | torch.device = "cpu",
        *,
        clock: Callable[[], float] = time.perf_counter,
        joules: Counter | None = None,
    ) -> None:
        self._device = torch.device(device)
        self._clock = clock
        self._sec: dict[str, float] = dict.fromkeys(PHASES, 0.0)
        self._images: dict[str, int] = dict.fromkeys(PHASES, 0)
        self._running: str | None = None
        self._joules = joules
        self._energy: dict[str, float] = dict.fromkeys(PHASES, 0.0)

    @contextmanager
    def phase(self, name: Phase) -> Iterator[Callable[[int], None]]:
        """Time one stretch of a phase; call what it yields with each number of images done."""
        if name not in PHASES:
            raise ValueError(f"phase {name!r} is none of {', '.join(PHASES)}")
        if self._running is not None:
            raise ValueError(f"phase {name} starts inside {self._running}")

        def add(images: int) -> None:
            self._images[name] += images

        self._wait()
        start, before = self._clock(), self._counted()
        self._running = name
        try:
            yield add
            self._wait()
        finally:
            self._sec[name] += self._clock() - start
            self._energy[name] += self._counted() - before
            self._running = None

    def read(self) -> Throughput:
        """What has been timed so far."""
        train, sample = self._images["train"], self._images["sample"]
        counted = self._joules is not None
        return Throughput(
            train_sec=self._sec["train"],
            sample_sec=self._sec["sample"],
            measure_sec=self._sec["measure"],
            save_sec=self._sec["save"],
            train_images=train,
            sample_images=sample,
            train_img_per_sec=_ratio(train, self._sec["train"]),
            sample_img_per_sec=_ratio(sample, self._sec["sample"]),
            sample_sec_per_img=_ratio(self._sec["sample"], sample),
            energy_wh=sum(self._energy.values()) / J_PER_WH if counted else None,
            train_j_per_img=_ratio(self._energy["train"], train) if counted else None,
        )

    def state(self) -> dict[str, dict[str, float]]:
        """JSON-able seconds, images and joules so far."""
        images = {k: float(v) for k, v in self._images.items()}
        return {"sec": dict(self._sec), "images": images, "joules": dict(self._energy)}

    def restore(self, state: dict[str, dict[str, float]]) -> None:
        """Go on from what `state` returned."""
        self._sec = {name: float(state["sec"][name]) for name in PHASES}
        self._images = {name: int(state["images"][name]) for name in PHASES}
        self._energy = {name: float(state.get("joules", {}).get(name, 0.0)) for name in PHASES}

    def _counted(self) -> float:
        return 0.0 if self._joules is None else self._joules()

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


@dataclass(frozen=True, kw_only=True)
class PeakMemory:
    """Peak memory of this trial in GB (1e9 bytes); note says what the number holds."""

    gb: float | None
    note: str


class MemoryGauge:
    """Peak memory since construction: of the process on CPU, of torch's allocator on CUDA.

    A reused actor keeps the high-water mark of its largest earlier trial. On Linux writing 5 to
    /proc/self/clear_refs lowers it to what is resident now; where that is refused the reading
    says that it covers the process's whole life, and what a step holds is not known.
    """

    def __init__(self, device: str | torch.device = "cpu", *, proc: Path = Path("/proc/self")):
        self._device = torch.device(device)
        self._proc = proc
        self._earlier = 0.0  # GB: the peak until the mark was last set back
        self.step_gb: float | None = None
        if self._device.type == "cuda":
            torch.cuda.init()  # resetting does not, and fails before
        self._reset = self._set_back()

    @contextmanager
    def training(self) -> Iterator[None]:
        """A stretch of training. `step_gb` is afterwards what its steps held, at their peak, beside
        what was held when it began: of the last stretch, as the first one makes the moments and
        loads libraries too."""
        self._earlier = max(self._earlier, self.read().gb or 0.0)
        give_back_freed()
        if not self._set_back():
            yield
            return
        held = self._now()
        yield
        self.step_gb = max(0.0, self._marked() - held)

    def read(self) -> PeakMemory:
        """Peak so far."""
        if self._device.type == "cuda":
            note = "CUDA memory allocated, reset at the trial's start"
        elif self._reset:
            note = "RSS, reset at the trial's start"
        else:
            note = "RSS, not reset: whole process life"
        with suppress(OSError):
            return PeakMemory(gb=max(self._earlier, self._marked()), note=note)
        unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes there, KiB elsewhere
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / GB
        return PeakMemory(gb=peak, note="RSS, not reset: whole process life")

    def metrics(self, state_bytes: int) -> dict[str, float]:
        """The peak, and that of training, whose state takes so many bytes, where they are known."""
        step = self.step_gb
        training = None if step is None else state_bytes / GB + step
        known = {"throughput/peak_mem_gb": self.read().gb, TRAINING_GB: training}
        return {key: gb for key, gb in known.items() if gb is not None}

    def _set_back(self) -> bool:
        """Lower the high-water mark to what is held now; whether that could be done."""
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
            return True
        try:
            (self._proc / "clear_refs").write_text(RESET_PEAK)
        except OSError:
            return False
        return True

    def _marked(self) -> float:
        """GB at the mark. OSError where the system does not tell."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) / GB
        return resident_bytes("VmHWM", self._proc) / GB

    def _now(self) -> float:
        """GB held now. OSError where the system does not tell."""
        if self._device.type == "cuda":
            return torch.cuda.memory_allocated(self._device) / GB
        return resident_bytes("VmRSS", self._proc) / GB


def resident_bytes(name: str, proc: Path = Path("/proc/self")) -> int:
    """Bytes of a line of a process's status: VmRSS (resident now) or VmHWM (its high-water mark).

    Raises:
        OSError: the system has no such line.
    """
    for line in (proc / "status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"{proc}/status says nothing of {name}")


def give_back_freed() -> None:
    """Let the GNU C library return freed memory to the system, where it is in use: what it keeps
    counts as resident."""
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def sec_per_image_alone(predictor: Predictor, cases: Cases, watch: Stopwatch) -> float:
    """Seconds to predict the first case by itself, all its samples; the first time is warm-up."""
    seconds = []
    for _ in range(1 + ALONE_TIMES):
        before = watch.read().measure_sec
        with watch.phase("measure"):
            predictor.predict_some(cases, range(1))
        seconds.append(watch.read().measure_sec - before)
    return statistics.median(seconds[1:])


def _ratio(numerator: float, denominator: float) -> float | None:
    return numerator / denominator if numerator > 0 and denominator > 0 else None
