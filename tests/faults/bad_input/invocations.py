"""Command lines that a user should not have given, drawn from a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

from bench.data.readers import TABLE as READERS
from tests.faults.bad_input import broken_data, broken_homes

NUMBERS = (
    *("-1", "0", "1", "3", "1e30", "nan", "inf", "-inf", str(10**30), "1e-30", "0x10", "1_0"),
    *("", " ", "NaN", "-0", "99999999999", "2.5"),
)
TEXTS = (
    *("", " ", "x", "echo", "echo-1", "fake-1", "[/red]", "[bold]", "a" * 300, "../out", "/"),
    *("a\0b", "\udcff\udcfe", "häß", "\u202e", "a\nb", "--", "-", ".", "..", "%s", "{}", "*"),
)
URLS = (
    *("sqlite://", "sqlite:///", ":memory:", "sqlite:///:memory:", "http://[::1", "http://x/y"),
    *("file:///tmp", "s3://bucket/x", "http://", "https://user:hunter2secret@[::1/x", "foo://x"),
    *("http://127.0.0.1:9/?token=hunter2secret", "postgresql://u:hunter2secret@127.0.0.1:9/db"),
    *("http://127.0.0.1:99999", "sqlite:///x?key=hunter2secret", "databricks", "mysql://"),
    *("http://u:hunter2secret@127.0.0.1:9", "sqlite:////dev/null", "sqlite:////dev/full"),
)
PATTERNS = ("()", "(a+)+$", "(", "", "(?P<x>", "(.*)*(.*)*b", ".", "[", "(a|a)*$", "\\", "(?i)a")
SETTINGS = (
    *("", "=", "x", "x=", "x=1", "lr=-1", "lr=nan", "lr=1e400", "lr=x", "lr=[]", "lr=null"),
    *("sampler=huen", "sampler=heun", "steps=0", "steps=-1", "steps=10000000000", "ema=0"),
    *("ema=inf", "augment=2", "augment=-1", "width=narrow", "width=5", "batch_size=0"),
    *("batch_size=3.5", "batch_size=1e9", "optimizer=1", "extractor=none", "a.b=1", "lr={"),
    *("architecture=nope", "preconditioning=[]", "P_mean=1e308", "dropout=2", "guidance=-3"),
    *("churn=-1", "grid=none", "schedule=", "weight_decay=-1", "[/red]=1", "n_samples=0"),
)
HOMES = ("", ".", "x" * 300, "a\0b", "/dev/null", "/dev/null/x", "/proc/none", "~nobody7/x", "a/b")
SECRET = "hunter2secret"


@dataclass
class Invocation:
    """One command line, in words of its own, and what it needs around it.

    whole: the home is as a driver left it, so that what is read from it must succeed.
    """

    args: list[str]
    about: list[str] = field(default_factory=list)
    stdout: str = "utf-8"  # or ascii, or full: a disk that is
    home: str | None = None  # as given, where it is not the folder prepared


class Drawing:
    """One invocation, drawn."""

    def __init__(self, draw: random.Random, template: Path, home: Path, scratch: Path) -> None:
        self.draw, self.template, self.home, self.scratch = draw, template, home, scratch

    def invocation(self) -> Invocation:
        """A home, broken in two of five; a command; options, each most likely wrong."""
        draw, made = self.draw, Invocation(args=[])
        if draw.random() < 0.4:
            made.about.append(broken_homes.damage(draw, self.template, self.home))
        commands = (
            *((self._reading,) * 4),
            *((self._show,) * 2),
            *((self._data,) * 2),
            *((self._sweep,) * 2),
            *((self._record,) * 2),
            self._garbled,
        )
        made.args = draw.choice(commands)()
        if draw.random() < 0.15 and self._takes_home(made.args):
            made.home = draw.choice((*HOMES, *URLS))
            made.args += ["--home", made.home]
        elif self._takes_home(made.args):
            made.args += ["--home", str(self.home)]
        made.stdout = draw.choice(("utf-8",) * 8 + ("ascii", "full"))
        return made

    @staticmethod
    def _takes_home(args: list[str]) -> bool:
        return bool(args) and args[:2] not in (["show", "backbone"], ["show", "space"])

    def text(self) -> str:
        return self.draw.choice((*TEXTS, *NUMBERS, *URLS))

    def name(self) -> list[str]:
        """A sweep's name, most often one that there is; or none."""
        names = (*broken_homes.SWEEPS * 3, self.draw.choice(TEXTS))
        return self.draw.choice(([self.draw.choice(names)], []))

    def some(self, choices: dict[str, tuple[str, ...]], at_most: int = 2) -> list[str]:
        """Some of the options, each with one of its values or with any text at all."""
        given: list[str] = []
        for option in self.draw.sample(
            sorted(choices), self.draw.randint(0, min(at_most, len(choices)))
        ):
            values = choices[option]
            given.append(option)
            if values:
                given.append(self.text() if self.draw.random() < 0.15 else self.draw.choice(values))
        return given

    def tracking(self) -> list[str]:
        draw = self.draw.random()
        if draw < 0.15:
            return ["--tracking-uri", self.draw.choice(URLS)]
        if draw < 0.2:
            return ["--tracker", self.draw.choice(("mlflow", "tensorboard", "nope", self.file()))]
        return []

    def file(self) -> str:
        path = str(broken_data.user_file(self.draw, self.scratch))
        return path + self.draw.choice(("", ":build", ":space", ":nope", ":"))

    def _reading(self) -> list[str]:
        command = self.draw.choice(("list", "status", "leaderboard", "samples"))
        if command == "list":
            return ["list"]
        if command == "status":
            return ["status", *self.name()]
        if command == "samples":
            return ["show", "samples", *self.name(), *self.some({"--trial": NUMBERS}, 1)]
        options = {
            "--sweep": (*broken_homes.SWEEPS, "nope"),
            "--from": ("journal", "mlflow", "mlfow"),
            "--format": ("table", "md", "csv", "json", "jsn"),
            "--top": NUMBERS,
        }
        workload = self.draw.choice(([], ["echo"], [self.text()]))
        return ["leaderboard", *workload, *self.some(options, 3), *self.tracking()]

    def _show(self) -> list[str]:
        what = self.draw.choice(("backbone", "space", "loss-log", "samples"))
        if what == "backbone":
            options = {
                "--size": ("8", "8x8", "0", "-1", "1x1", "8x8x8", "9999999", "x", "7x5", "1e3"),
                "--channels": NUMBERS,
                "--classes": NUMBERS,
                "--set": SETTINGS,
                "--json": (),
            }
            names = ("small_unet", "adm", "dit", "ddpmpp", self.text(), self.file())
            return ["show", "backbone", self.draw.choice(names), *self.some(options)]
        if what == "space":
            names = ("echo", self.text(), self.file())
            return ["show", "space", self.draw.choice(names), *self.some({"--scale": SCALES}, 1)]
        if what == "samples":
            return ["show", "samples", *self.name(), *self.some({"--trial": NUMBERS}, 1)]
        path = self.scratch / f"log{self.draw.randrange(10**6)}"
        lines = ("step: 1, loss: 0.3\n", "step: -1, loss: nan\n", "step: x, loss: y\n", "[/red]\n")
        path.write_text("".join(self.draw.choice(lines) for _ in range(self.draw.randrange(5))))
        where = self.draw.choice((str(path), str(self.scratch), "/dev/null", self.text()))
        return ["show", "loss-log", where, *self.some({"--json": ()}, 1)][:4]

    def reading_options(self) -> dict[str, tuple[str, ...]]:
        return {
            "--size": ("8x8", "0x0", "99999x99999", "8", "8x8x8", "-1x2"),
            "--fit": ("crop", "pad", "centre", "stretch", "nope"),
            "--every": NUMBERS,
            "--reader": (*READERS, "nope", self.file()),
            "--include": ("*.png", "", "[", "**/*"),
            "--exclude": ("*", "*.png", "[/red]*"),
            "--group-by": PATTERNS,
            "--label-by": PATTERNS,
            "--value-range": ("0:255", "1:0", "nan:1", ":", "0:inf", "5:5", "x:y"),
        }

    def path(self) -> str:
        folder = self.scratch / f"data{self.draw.randrange(10**6)}"
        odd = ("/dev/null", "nowhere", str(self.home), self.text())
        if self.draw.random() < 0.2:
            return self.draw.choice(odd)
        return str(broken_data.data_folder(self.draw, folder))

    def _data(self) -> list[str]:
        path = self.draw.choice(([], [self.path()], [self.path()], [self.path()]))
        scale = ["--scale", "smoke"]
        return ["data", *path, *scale, *self.some(self.reading_options())]

    def _sweep(self) -> list[str]:
        command = self.draw.choice(("sweep", "sweep", "calibrate"))
        options = {
            "--trials": NUMBERS,
            "--seed": NUMBERS,
            "--task": ("generate", "restore", *TEXTS),
            "--budget": NUMBERS,
            "--equal": ("flops", "nimg", "gpu-seconds", "nope"),
            "--concurrency": NUMBERS,
            "--set": SETTINGS,
            "--backbone": ("small_unet", "adm", "nope", self.file()),
            "--extractor": ("randconv", "nope", self.file()),
            "--space": (self.file(), self.file(), "echo", "nope"),
            **({"--data": (self.path(),)} if self.draw.random() < 0.3 else {}),
            **self.reading_options(),
        }
        if command == "sweep":
            options |= {
                "--wall-clock": (*NUMBERS, "90m", "1h30m", f"{10**30}s", "-1s", "h"),
                "--cpu-hours": NUMBERS,
                "--search": ("tpe", "random", "tpo"),
                "--workers-per-trial": NUMBERS,
                "--early-stop": NUMBERS,
                "--looks": NUMBERS,
                "--name": (*TEXTS, "echo-1"),
                "--storage": (*URLS, str(self.scratch / "storage"), "/dev/null/x"),
                "--pack": (),
                "--no-prune": (),
            }
        else:
            options |= {"--from": (*broken_homes.SWEEPS, "nope")}
        workload = self.draw.choice(("echo",) * 6 + (self.text(), self.file()))
        scale = ["--scale", self.draw.choice(SCALES)]
        given = self.some(options, 3)
        return [command, workload, *scale, "--dry-run", *given, *self.tracking()]

    def _record(self) -> list[str]:
        """Commands that write to a sweep. Ray is not started: the runner stops them there."""
        command = self.draw.choice(("resume", "confirm", "sync", "ui"))
        if command == "ui":
            return ["ui", *self.some({"--port": NUMBERS}, 1), *self.tracking()]
        options: dict[str, tuple[str, ...]] = {"--all": ()}
        if command == "resume":
            options = {"--trials": NUMBERS, "--wall-clock": NUMBERS, "--cpu-hours": NUMBERS}
            options |= {"--storage": (str(self.scratch / "storage"), "/dev/null/x", "foo://x")}
        elif command == "confirm":
            options = {"--top": NUMBERS, "--seeds": ("0", "-1", "2", str(10**30), "x")}
        return [command, *self.name(), *self.some(options), *self.tracking()]

    def _garbled(self) -> list[str]:
        words = ("list", "sweep", "show", "--help", "--home", "--version", "ui", "-x", "--top=1")
        return [self.draw.choice((*words, self.text())) for _ in range(self.draw.randint(0, 4))]


SCALES = ("smoke", "smoke", "smoke", "smok", "")
