"""Folders of data that cannot be read, or only in part; and files of a user's own that fail."""

from __future__ import annotations

import io
import os
import random
from pathlib import Path

import numpy as np
from PIL import Image

NAMES = (b"a%d.png", b"[/red]%d.png", b"[bold]%d.png", b"\xff\xfe%d.png", b"p%d\n.png", b" %d.jpg")
BODIES = {
    "raises": "raise ValueError('[/red] no')",
    "exits": "import sys; sys.exit()",
    "exits with text": "import sys; sys.exit('bye\\nbye')",
    "never ends": "while True: pass",
    "is empty": "",
    "is no Python": "def (",
    "is binary": "\0\1\2",
    "recurses": "def space(*a, **k): return space()\nbuild = space",
    "is None": "space = build = NAME = None",
    "takes nothing": "def space(): pass\nbuild = space",
    "does nothing": "def space(*a, **k): pass\nbuild = space",
    "raises when called": "def space(*a, **k): raise KeyError('[/red]')\nbuild = space",
    "exits when called": "import sys\ndef space(*a, **k): sys.exit(0)\nbuild = space",
    "never ends when called": "def space(*a, **k):\n    while True: pass\nbuild = space",
    "suggests for ever": (
        "def space(t, c):\n    n = 0\n    while True:\n"
        "        n += 1; t.suggest_float(f'x{n}', 0, 1)\n"
    ),
    "suggests nonsense": (
        "def space(t, c):\n    t.suggest_categorical('architecture', [None, 3, '[/red]'])\n"
        "    t.suggest_categorical('preconditioning', ['nope'])\n"
    ),
    "suggests the impossible": "def space(t, c): t.suggest_float('lr', 2, 1)",
    "suggests other types": "def space(t, c): t.suggest_int('architecture', 0, 3)",
    "returns a number": "def build(*a, **k): return 3\nspace = build",
    "returns a wrong network": (
        "import torch\ndef build(*a, **k): return torch.nn.Linear(2, 2)\nspace = build"
    ),
    "raises in forward": (
        "import torch\nclass N(torch.nn.Module):\n    def forward(self, *a, **k): 1 / 0\n"
        "def build(*a, **k): return N()\nspace = build"
    ),
}


def user_file(draw: random.Random, folder: Path) -> Path:
    """A Python file of a user's, broken in some way."""
    what = draw.choice(sorted(BODIES))
    path = folder / f"{what.replace(' ', '_')}_{draw.randrange(10**6)}.py"
    path.write_text(BODIES[what])
    return path


def data_folder(draw: random.Random, folder: Path) -> Path:
    """A folder of a few files, most of which are broken in some way."""
    root = Path(os.fsdecode(os.fsencode(folder) + draw.choice((b"", b"[/red]", b"\xff", b" x"))))
    root.mkdir(parents=True, exist_ok=True)
    for number in range(draw.choice((0, 1, 2, 5, 12))):
        where = root
        if draw.random() < 0.3:
            where = root / draw.choice(("patient1", "patient2", "[/red]"))
            where.mkdir(parents=True, exist_ok=True)
        _put(draw, where, number)
    return root


def _put(draw: random.Random, folder: Path, number: int) -> None:
    name = os.fsdecode(draw.choice(NAMES) % number)
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    data = _image(draw, "PNG" if name.endswith("png") else "JPEG")
    kind = draw.choice(("good", "good", "cut", "empty", "text", "fifo", "dangling", "loop", "npz"))
    if kind == "good":
        path.write_bytes(data)
    elif kind == "cut":
        path.write_bytes(data[: draw.randrange(len(data))])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        suffix = draw.choice((".png", ".mp4", ".avi", ".npz", ".tif", ".gif", ".csv", ".dcm"))
        path.with_suffix(suffix).write_bytes(b"hello")
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "dangling":
        path.symlink_to("nowhere")
    elif kind == "loop":
        path.symlink_to(draw.choice((path.name, ".")))
    else:
        _put_npz(draw, folder / f"{number}.npz")


def _image(draw: random.Random, form: str) -> bytes:
    side = draw.choice((1, 8, 40))
    mode, shape = draw.choice((("L", (side, side)), ("RGB", (side, side, 3))))
    pixels = np.frombuffer(draw.randbytes(int(np.prod(shape))), np.uint8).reshape(shape)
    buffer = io.BytesIO()
    Image.fromarray(pixels, mode).save(buffer, form)
    return buffer.getvalue()


def _put_npz(draw: random.Random, path: Path) -> None:
    shape = draw.choice(((), (0,), (3,), (4, 8, 8), (4, 8, 8, 3), (2, 3, 4, 8, 8), (5, 0, 8)))
    array = np.zeros(shape, draw.choice(("u1", "f4", "c8", "U3", "O", "?", "M8[s]")))
    buffer = io.BytesIO()
    np.savez(buffer, **{draw.choice(("images", "data", "x", "a/b")): array})  # type: ignore[arg-type]
    data = buffer.getvalue()
    path.write_bytes(data if draw.random() < 0.6 else data[: draw.randrange(len(data))])
