"""What all birds of one species share: proportions, plumage, markings, and where they live.

Lengths are shares of the body's length. Colours are those that birds have: earths, greys, black,
white, and one bright colour in about half of the species.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from bench.data.simulate_birds.painting import Colour

Habit = Literal["branch", "ground", "water", "air"]
HABITS: tuple[Habit, ...] = ("branch", "ground", "water", "air")
_HABIT_UP_TO = (0.55, 0.75, 0.9, 1.0)  # cumulated shares

_DULL: tuple[Colour, ...] = (
    *((0.42, 0.30, 0.19), (0.55, 0.43, 0.30), (0.30, 0.22, 0.16), (0.62, 0.55, 0.44)),
    *((0.45, 0.46, 0.48), (0.28, 0.30, 0.33), (0.60, 0.61, 0.63), (0.10, 0.10, 0.12)),
    *((0.38, 0.40, 0.24), (0.92, 0.91, 0.88)),
)
_BRIGHT: tuple[Colour, ...] = (
    *((0.80, 0.10, 0.10), (0.93, 0.45, 0.10), (0.95, 0.80, 0.15), (0.20, 0.40, 0.80)),
    *((0.15, 0.60, 0.72), (0.30, 0.60, 0.20), (0.45, 0.20, 0.50), (0.72, 0.28, 0.20)),
)
_PALE: tuple[Colour, ...] = (
    *((0.94, 0.92, 0.86), (0.88, 0.82, 0.68), (0.80, 0.80, 0.80), (0.93, 0.86, 0.55)),
    (0.85, 0.62, 0.42),
)
_HORN: tuple[Colour, ...] = (
    *((0.12, 0.12, 0.13), (0.35, 0.32, 0.30), (0.90, 0.60, 0.15), (0.85, 0.30, 0.20)),
    (0.80, 0.70, 0.45),
)
_FIRST = (
    *("Ashy", "Banded", "Bright", "Chestnut", "Crested", "Dusky", "Golden", "Hooded"),
    *("Island", "Lesser", "Marsh", "Northern", "Painted", "Rusty", "Striped", "White_browed"),
)
_SECOND = (
    *("Bunting", "Finch", "Flycatcher", "Jay", "Plover", "Sparrow", "Tanager", "Thrush"),
    *("Vireo", "Warbler", "Wren", "Tern", "Teal", "Oriole", "Grosbeak", "Swallow"),
)


@dataclass(frozen=True, kw_only=True)
class Species:
    """One drawn species."""

    name: str
    habit: Habit
    plump: float  # of the body's thickness
    head: float  # radius
    neck: float  # from breast to head
    beak: float  # length
    beak_depth: float
    tail: float
    tail_width: float
    legs: float
    back: Colour
    belly: Colour
    wing: Colour
    wing_edge: Colour
    crown: Colour
    cheek: Colour
    throat: Colour
    tail_colour: Colour
    horn: Colour  # beak
    leg: Colour
    belly_line: float  # where back turns to belly, across the body, -1 to 1
    mask: float  # strength of a dark band through the eye
    brow: float  # of a pale one above it
    wing_bars: int
    streaks: float  # on the breast
    crest: float  # length


def species_name(index: int) -> str:
    """ "Ashy_Bunting": another one for each of the first 256 numbers."""
    first = _FIRST[(index + index // len(_SECOND)) % len(_FIRST)]
    name = f"{first}_{_SECOND[index % len(_SECOND)]}"
    return name if index < len(_FIRST) * len(_SECOND) else f"{name}_{index}"


def draw_species(rng: np.random.Generator, index: int) -> Species:
    def pick(colours: tuple[Colour, ...]) -> Colour:
        base = colours[int(rng.integers(len(colours)))]
        shift = rng.normal(0, 0.03, 3)
        red, green, blue = np.clip(np.add(base, shift), 0.03, 0.97).tolist()
        return red, green, blue

    spread = index * 0.618034 % 1  # multiples of the golden ratio: even among any few species
    habit = HABITS[next(i for i, most in enumerate(_HABIT_UP_TO) if spread < most)]
    back, bright = pick(_DULL), pick(_BRIGHT)
    wing = back if rng.random() < 0.5 else pick(_DULL)
    colourful = bool(rng.random() < 0.6)
    belly = bright if colourful and rng.random() < 0.4 else pick(_PALE)
    crown = bright if colourful and rng.random() < 0.5 else pick(_DULL)
    back = bright if colourful and rng.random() < 0.35 else back
    cheek = crown if rng.random() < 0.5 else pick((*_PALE, *_DULL))
    wades = habit == "ground" and rng.random() < 0.5
    swims = habit == "water"
    return Species(
        name=f"{index + 1:03d}.{species_name(index)}",
        habit=habit,
        plump=float(rng.uniform(0.85, 1.15)) * (0.85 if habit == "air" else 1.0),
        head=float(rng.uniform(0.16, 0.215)) * (0.85 if wades or swims else 1.0),
        neck=float(rng.uniform(0.25, 0.32)) * (1.5 if wades or swims else 1.0),
        beak=float(rng.uniform(0.09, 0.2)) * (2.0 if wades else 1.3 if swims else 1.0),
        beak_depth=float(rng.uniform(0.035, 0.085)),
        tail=float(rng.uniform(0.3, 0.7)) * (0.5 if wades or swims else 1.0),
        tail_width=float(rng.uniform(0.05, 0.1)),
        legs=float(rng.uniform(0.14, 0.22)) * (2.2 if wades else 1.0),
        back=back,
        belly=belly,
        wing=wing,
        wing_edge=pick(_DULL),
        crown=crown,
        cheek=cheek,
        throat=belly if rng.random() < 0.6 else pick((*_PALE, *_BRIGHT)),
        tail_colour=wing if rng.random() < 0.6 else pick(_DULL),
        horn=pick(_HORN),
        leg=pick(_HORN),
        belly_line=float(rng.uniform(-0.15, 0.35)),
        mask=float(rng.random() < 0.35),
        brow=float(rng.random() < 0.3),
        wing_bars=int(rng.integers(0, 3)),
        streaks=float(rng.random() < 0.35) * float(rng.uniform(0.4, 0.9)),
        crest=float(rng.random() < 0.2) * float(rng.uniform(0.12, 0.22)),
    )
