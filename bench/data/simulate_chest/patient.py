"""Who is examined, and how: a patient's build, and the placing and exposure of one radiograph.

Lengths are centimetres in the detector's plane. x runs to the image's right (the patient's left), y
downwards from the thoracic inlet; the spine is at x = 0 of an unrotated patient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Patient:
    """What stays the same from one study to the next."""

    sex: Literal["Male", "Female"]
    age: int
    scale: float  # of all lengths, 1 for an average adult
    chest: float  # half width of the rib cage at its widest
    lung_height: float  # from the lungs' tips to the domes of the diaphragm
    fat: float  # of the chest wall: 0 lean, 1 obese
    thickness: float  # of the body, front to back
    rib_spacing: float
    rib_drop: float  # from a rib's head to its front end
    rib_width: float  # half of it
    bone: float  # density: 1 for a young adult
    breast: float  # 0 to 1.5
    breast_at: tuple[float, float]
    heart: float  # scale of the heart, before any finding
    heart_tilt: float  # radians; small for an upright, long heart
    aorta: float  # size of the aortic knob
    dome_left: float  # how much lower the left dome is
    shoulder: float  # height of the shoulders
    scoliosis: float
    vessels: float  # how much the lung's vessels show
    variant: int  # keys what is drawn in detail: vessels, rib irregularities


def draw_patient(rng: np.random.Generator) -> Patient:
    """Draws a body: sex and age first, then sizes that go with them."""
    is_male = bool(rng.random() < 0.58)
    age = int(np.clip(rng.normal(60, 18), 18, 90))
    old = np.clip((age - 40) / 50, 0, 1)
    scale = float(rng.normal(1.03 if is_male else 0.95, 0.05))
    fat = float(np.clip(rng.beta(2, 2.6), 0, 1))
    return Patient(
        sex="Male" if is_male else "Female",
        age=age,
        scale=scale,
        chest=float(rng.normal(13.4, 0.6) + 0.5 * fat),
        lung_height=float(rng.normal(22.5, 1.6) - 2.5 * fat),
        fat=fat,
        thickness=float(18 + 8 * fat + rng.normal(0, 1)),
        rib_spacing=float(rng.normal(2.45, 0.12)),
        rib_drop=float(rng.normal(10.0, 1.0) + 1.0 * old),
        rib_width=float(rng.uniform(0.48, 0.68)),
        bone=float(np.clip(rng.normal(1.05 - 0.35 * old, 0.12), 0.4, 1.3)),
        breast=0.0 if is_male else float(np.clip(rng.normal(0.6 + 0.5 * fat, 0.25), 0, 1.5)),
        breast_at=(float(rng.normal(8.2, 0.7)), float(rng.normal(20 + 3 * old, 1.2))),
        heart=float(rng.normal(0.91 + 0.07 * old + 0.05 * fat, 0.06)),
        heart_tilt=float(rng.normal(0.62 - 0.2 * fat, 0.1)),
        aorta=float(np.clip(rng.normal(0.8 + 0.5 * old, 0.15), 0.5, 1.7)),
        dome_left=float(rng.normal(1.2, 0.6)),
        shoulder=float(rng.normal(3.0, 1.3)),
        scoliosis=float(rng.normal(0, 0.35 + 0.5 * old)),
        vessels=float(rng.uniform(0.75, 1.3)),
        variant=int(rng.integers(2**31)),
    )


@dataclass(frozen=True, kw_only=True)
class Placing:
    """How one radiograph was taken."""

    view: Literal["PA", "AP"]
    field: float  # cm that the image's side spans
    centre: tuple[float, float]
    tilt: float  # radians, in the image's plane
    turn: float  # cm by which the front of the chest is moved against its back
    inspiration: float  # 1 full
    arms_up: float
    kilovolt: float  # 0 low: bones stand out; 1 high
    scatter: float
    blur: float  # cm
    dose: float  # photons of a pixel in the open field, in units of 150,000
    window: float  # where black lies below the lungs, of their distance to white
    headroom: float  # how far white lies above what is densest, of the same distance
    shoulder: float  # how far the display draws dense parts together
    curve: float  # contrast of the display
    brightness: float
    equalised: float  # how far the display was equalised, as the official set is
    frame: tuple[float, float, float, float]  # collimated rim: left, top, right, bottom, shares
    frame_tilt: float
    marker: tuple[float, float, int]  # place of the side's letter and which


def draw_placing(patient: Patient, rng: np.random.Generator, is_ill: bool) -> Placing:
    """Ill patients lie: AP, a shallower breath, more rotation and tilt."""
    is_ap = bool(rng.random() < (0.8 if is_ill else 0.35))
    loose = 1.6 if is_ap else 0.8
    rim = np.clip(rng.normal(0, 0.035, 4), 0, 0.12) * (rng.random(4) < 0.6)
    corner = rng.random() < 0.8
    return Placing(
        view="AP" if is_ap else "PA",
        field=float((rng.normal(35.5, 1.8) + 2.5 * patient.fat) * patient.scale),
        centre=(float(rng.normal(0, 0.5 * loose)), float(rng.normal(15.2, 0.9 * loose))),
        tilt=float(rng.normal(0, 0.022 * loose)),
        turn=float(rng.normal(0, 0.45 * loose)),
        inspiration=float(np.clip(rng.normal(0.82 if is_ap else 0.97, 0.07), 0.62, 1.08)),
        arms_up=float(rng.uniform(0, 0.5) if is_ap else rng.uniform(0.3, 1)),
        kilovolt=float(rng.uniform(0, 1)),
        scatter=float(rng.uniform(0.2, 0.6) + 0.3 * is_ap * patient.fat),
        blur=float(rng.uniform(0.03, 0.09) + 0.05 * is_ap),
        dose=float(np.exp(rng.uniform(np.log(0.8), np.log(8)))),
        window=float(rng.uniform(0.35, 1.1)),
        headroom=float(rng.uniform(0.02, 0.35)),
        shoulder=float(rng.uniform(0, 1)),
        curve=float(rng.uniform(0.85, 1.25)),
        brightness=float(rng.normal(0, 0.05)),
        equalised=float(np.clip(rng.normal(0.2, 0.2), 0, 1)),
        frame=(float(rim[0]), float(rim[1]), float(rim[2]), float(rim[3])),
        frame_tilt=float(rng.normal(0, 0.02)) if is_ap else 0.0,
        marker=(
            float(rng.uniform(0.88, 0.94) if corner else rng.uniform(0.06, 0.1)),
            float(rng.uniform(0.05, 0.28)),
            int(rng.integers(3)) + 3 * int(not corner),
        ),
    )
