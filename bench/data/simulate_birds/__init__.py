"""The simulated bird set: photographs of birds in CUB-200-2011's layout.

`species` draws what all birds of a kind share, `bird` one bird in its pose, `scenery` what is
behind it, `photographs` takes the pictures and writes them with the tables. Nothing in it is a real
photograph.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class SimulationSize:
    """How much to draw. Satisfies bench.data.opening.Simulation.

    photos: of each species; half of them are for training, as in CUB-200-2011. side: the shorter
    side of a photograph in pixels; a bird's box takes about two thirds of it.
    """

    species: int = 24
    photos: int = 60
    side: int = 96
    seed: int = 0
    every: int = 1  # photographs do not move

    def __post_init__(self) -> None:
        if self.species < 2 or self.photos < 4 or self.side < 32 or self.every != 1:
            raise ValueError(
                f"a simulated set needs 2 species, 4 photos of each, a side of 32 and every 1; "
                f"not {self.species}, {self.photos}, {self.side}, {self.every}"
            )

    def digest(self) -> str:
        """Identifies the files: these settings and the code that draws."""
        digest = hashlib.blake2b(json.dumps(asdict(self)).encode(), digest_size=8)
        for file in sorted(Path(__file__).parent.glob("*.py")):
            digest.update(file.read_bytes())
        return digest.hexdigest()

    def describe(self) -> dict[str, Any]:
        """Name and settings for the record."""
        return {"name": "simulated-birds", **asdict(self)}

    def write(self, root: Path) -> None:
        """Draws and encodes the whole set into the folder `root`."""
        from bench.data.simulate_birds.photographs import write_set

        write_set(self, root)
