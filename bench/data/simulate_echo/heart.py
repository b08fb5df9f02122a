"""A patient's heart in an apical four-chamber plane: anatomy at end-diastole, and its motion.

Lengths are pixels of the 112x112 image. The heart frame has its origin at the left ventricle's
apex, u along its long axis towards the mitral valve, v across it towards the lateral wall (right
in the image); septum, right ventricle and right atrium are at negative v, the atria at u > length.
Every level u has edges in v; contraction moves the edges, tissue between two edges moves
in proportion, and each point of the moving heart thereby has a place in the end-diastolic one.
That map carries the speckle. The ventricle's volume is that of discs across the axis.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

F = NDArray[np.float32]
D = NDArray[np.float64]

SIZE = 112
DISCS = 20  # as EchoNet-Dynamic's tracings
U_FROM, U_TO, V_TO = -30, 110, 80  # the heart frame's extent, pixels

# Contraction over the beat, 0 end-diastole to 1 end-systole: ejection, early filling, diastasis,
# atrial kick. Mitral opening over the beat: closed in systole, E wave, A wave.
_BEAT = np.array([0, 0.05, 0.18, 0.32, 0.38, 0.50, 0.60, 0.80, 0.93, 1.0])
_CONTRACTION = np.array([0, 0.06, 0.62, 0.99, 1.0, 0.50, 0.28, 0.20, 0.04, 0.0])
_VALVE = np.array([0, 0.0, 0.0, 0.0, 0.05, 1.0, 0.75, 0.35, 0.80, 0.0])


@dataclass(frozen=True, kw_only=True)
class Heart:
    """One patient's drawn anatomy. Lengths in pixels at end-diastole, angles in radians."""

    apex_x: float
    apex_y: float
    tilt: float  # of the long axis, positive towards the right
    length: float  # left ventricle, apex to mitral plane
    half_width: float  # of its cavity, at the widest level
    wall: float
    taper: float  # share of the half width lost between the widest level and the mitral plane
    rv_width: float
    rv_start: float  # level of the right ventricle's apex, share of `length`
    la_half_width: float
    la_length: float
    ra_width: float
    shortening: float  # of the long axis at end-systole, share
    narrowing: float  # of the cavity's half width at end-systole, share
    beats_per_sec: float
    beat_start: float  # phase of the first frame
    swing: tuple[float, float, float]  # du, dv in pixels, rotation in radians, over the beat
    breath: tuple[float, float, float]  # amplitude in pixels, rate in 1/s, phase


def draw_heart(rng: np.random.Generator) -> Heart:
    """Draws a patient: ejection fraction first (left-skewed about 58 %, 12 to 80 %), then sizes."""
    ejection = float(np.clip(rng.normal(0.60, 0.08) - 0.14 * rng.exponential(0.45), 0.12, 0.80))
    # Failing hearts are larger and rounder; (1 - shortening)(1 - narrowing)^2 = 1 - EF.
    failing = float(np.clip((0.5 - ejection) / 0.3, 0, 1))
    shortening = 0.03 + 0.24 * ejection * float(rng.uniform(0.8, 1.2))
    narrowing = 1 - float(np.sqrt((1 - ejection) / (1 - shortening)))
    length = float(rng.uniform(44, 55)) + 3 * failing
    half_width = length * (float(rng.normal(0.285, 0.025)) + 0.06 * failing)
    return Heart(
        apex_x=float(rng.normal(59, 3.5)),
        apex_y=float(rng.uniform(13, 21)),
        tilt=float(rng.normal(0.10, 0.10)),
        length=length,
        half_width=half_width,
        wall=float(rng.uniform(5.5, 8.5)),
        taper=float(rng.uniform(0.08, 0.28)),
        rv_width=half_width * float(rng.uniform(0.9, 1.45)),
        rv_start=float(rng.uniform(0.10, 0.32)),
        la_half_width=half_width * float(rng.uniform(0.80, 1.15)),
        la_length=float(rng.uniform(24, 34)),
        ra_width=half_width * float(rng.uniform(1.3, 1.9)),
        shortening=shortening,
        narrowing=narrowing,
        beats_per_sec=float(rng.uniform(0.95, 1.6)),
        beat_start=float(rng.uniform(0, 1)),
        swing=(float(rng.normal(0, 0.8)), float(rng.normal(-0.8, 0.8)), float(rng.normal(0, 0.02))),
        breath=(
            float(rng.uniform(0, 1.0)),
            float(rng.uniform(0.2, 0.35)),
            float(rng.uniform(0, 6)),
        ),
    )


@dataclass(frozen=True, kw_only=True)
class Motion:
    """Where the heart is in its beat, one value a frame; float64 [T]."""

    contraction: D
    valve: D  # opening of mitral and tricuspid valves, 0 to 1
    du: D
    dv: D
    turn: D  # radians


def motion(heart: Heart, frames: int, fps: float) -> Motion:
    seconds = np.arange(frames) / fps
    phase = (heart.beat_start + seconds * heart.beats_per_sec) % 1.0
    contraction = np.clip(PchipInterpolator(_BEAT, _CONTRACTION)(phase), 0, 1)
    du, dv, turn = heart.swing
    size, rate, start = heart.breath
    breath = size * np.sin(2 * np.pi * rate * seconds + start)
    return Motion(
        contraction=contraction,
        valve=np.clip(PchipInterpolator(_BEAT, _VALVE)(phase), 0, 1),
        du=du * contraction + breath,
        dv=dv * contraction + 0.5 * breath,
        turn=turn * contraction,
    )


def _bullet(share: D) -> D:
    """A rounded tip at 0 that reaches its full width at 0.65 and keeps it."""
    rest = 1 - np.clip(share / 0.65, 0, 1)
    return np.sqrt(1 - rest**2)


def _dome(share: D, widest: float) -> D:
    """0..1..0 over share 0..1, blunt at 0 (0.75 there), round at 1."""
    below = 0.75 + 0.25 * np.sin(np.clip(share / widest, 0, 1) * np.pi / 2)
    above = np.sqrt(np.clip(1 - np.clip((share - widest) / (1 - widest), 0, 1) ** 2, 0, 1))
    return np.where(share <= widest, below, above) * (share >= 0) * (share <= 1)


def cavity(heart: Heart, u: D) -> D:
    """Half width of the left ventricle's cavity at end-diastolic levels u; 0 outside it."""
    share = u / heart.length
    late = np.clip((share - 0.65) / 0.35, 0, 1)
    width = heart.half_width * _bullet(share) * (1 - heart.taper * late**2)
    return np.where((share > 0) & (share <= 1), width, 0.0)


def edges(heart: Heart, u: D) -> D:
    """The edges at end-diastolic levels u: float64 [8, len(u)], ascending in v.

    Far left, right heart's outer and inner wall, septum's right side, cavity's left and right
    side (ventricle or atrium), outer wall, far right.
    """
    h, length = heart.wall, heart.length
    inside = cavity(heart, u)
    share = np.clip((u + h) / (length + h), 0, None)
    late = np.clip((u / length - 0.65) / 0.35, 0, 1)
    outer = (heart.half_width + h) * _bullet(share) * (1 - heart.taper * late**2)
    atrium = u > length
    deep = (u - length) / heart.la_length
    inside = np.where(atrium, heart.la_half_width * _dome(deep, 0.45), inside)
    thin = 2.2 + (h - 2.2) * np.clip(1 - (u - 0.8 * length) / (0.22 * length), 0, 1)
    outer = np.where(u > 0.8 * length, inside + thin, np.maximum(outer, inside + 0.5))
    right = heart.rv_width * _bullet((u / length - heart.rv_start) / (1 - heart.rv_start))
    right = np.where(u / length > heart.rv_start, right, 0.0)
    tricuspid = 0.93 * length
    right = np.where(
        u > tricuspid,
        heart.ra_width * _dome((u - tricuspid) / (1.05 * heart.la_length), 0.5),
        right,
    )
    rv_outer = outer + right + np.where(right > 0, 2.6, 0.3)
    return np.stack([
        -rv_outer - 14, -rv_outer, -outer - right, -outer, -inside, inside, outer, outer + 14,
    ])  # fmt: skip


def _levels(heart: Heart, contraction: float) -> tuple[D, D]:
    """End-diastolic levels and where they are now: the mitral plane rises to the fixed apex."""
    length, roof = heart.length, heart.length + heart.la_length
    rise = heart.shortening * contraction * length
    then = np.array([U_FROM - 20, 0.0, length, roof, U_TO + 20])
    return then, then - np.array([0, 0, rise, 0.1 * rise, 0])


def moving_edges(heart: Heart, then: D, contraction: float) -> tuple[D, D]:
    """Edges of end-diastolic levels `then`, at end-diastole and contracted: [8, n] each."""
    rest = edges(heart, then)
    c = contraction
    into = np.clip((then - heart.length) / 6, 0, 1)  # from ventricle to atrium
    cavity_factor = (1 - heart.narrowing * c) * (1 - into) + (1 + 0.12 * c) * into
    wall_factor = 1 + 0.9 * heart.narrowing * c * (1 - into)
    right_factor = (1 - 0.8 * heart.narrowing * c) * (1 - into) + (1 + 0.10 * c) * into
    now = rest.copy()
    now[5] = rest[5] * cavity_factor
    now[6] = now[5] + (rest[6] - rest[5]) * wall_factor
    now[4], now[3] = -now[5], -now[6]
    now[2] = now[3] - (rest[3] - rest[2]) * right_factor
    now[1] = now[2] - (rest[2] - rest[1]) * wall_factor
    return rest, now


def displacement(heart: Heart, moving: Motion, u: F, v: F) -> tuple[F, F]:
    """From the moving heart back to end-diastole on a grid of levels u [U] and places v [V].

    Returns (u_then - u [T, U], v_then - v [T, U, V]), float32, in pixels.
    """
    u_back = np.empty((len(moving.du), len(u)), np.float32)
    v_back = np.empty((len(moving.du), len(u), len(v)), np.float32)
    for t, c in enumerate(moving.contraction):
        then, now = _levels(heart, float(c))
        u_then = np.interp(u - moving.du[t], now, then)
        u_back[t] = u_then - u
        rest, edge = (a.astype(np.float32) for a in moving_edges(heart, u_then, float(c)))
        place = v[None] - (moving.dv[t] + moving.turn[t] * u).astype(np.float32)[:, None]
        slope = np.diff(rest, axis=0) / np.maximum(np.diff(edge, axis=0), 1e-3)
        # Unmoved beyond the outermost edges, in proportion between two edges.
        out = np.minimum(place - edge[0][:, None], 0) + np.maximum(place - edge[7][:, None], 0)
        out += rest[0][:, None]
        for k in range(7):
            step = np.clip(place - edge[k][:, None], 0, (edge[k + 1] - edge[k])[:, None])
            out += step * slope[k][:, None]
        v_back[t] = out - v[None]
    return u_back, v_back


def image_place(heart: Heart, u: D, v: D) -> tuple[D, D]:
    """Image (x, y) of places in the heart frame."""
    sin, cos = np.sin(heart.tilt), np.cos(heart.tilt)
    return heart.apex_x + u * sin + v * cos, heart.apex_y + u * cos - v * sin


def heart_place(heart: Heart, x: D, y: D) -> tuple[D, D]:
    """Places in the heart frame of image (x, y)."""
    sin, cos = np.sin(heart.tilt), np.cos(heart.tilt)
    dx, dy = x - heart.apex_x, y - heart.apex_y
    return dx * sin + dy * cos, dx * cos - dy * sin


def volumes(heart: Heart, moving: Motion, discs: int = 400) -> D:
    """The left ventricle's volume in every frame, cubic pixels: discs of its drawn cavity."""
    then = (np.arange(discs) + 0.5) / discs * heart.length
    area = np.pi * cavity(heart, then) ** 2
    shorter = 1 - heart.shortening * moving.contraction
    narrower = 1 - heart.narrowing * moving.contraction
    thick = heart.length / discs
    return np.asarray(area.sum() * thick * shorter * narrower**2)


def tracing(heart: Heart, moving: Motion, frame: int) -> D:
    """EchoNet's tracing of one frame: float64 [1 + DISCS, 4] rows of X1, Y1, X2, Y2.

    The long axis from apex to mitral plane, then chords across it at the middle of each disc.
    """
    c = float(moving.contraction[frame])
    height = heart.length * (1 - heart.shortening * c)
    share = np.concatenate([[0.0, 1.0], (np.arange(DISCS) + 0.5) / DISCS])
    half = cavity(heart, share * heart.length) * (1 - heart.narrowing * c)
    half[:2] = 0.0
    u = share * height + moving.du[frame]
    v = moving.dv[frame] + moving.turn[frame] * u
    x1, y1 = image_place(heart, u, v - half)
    x2, y2 = image_place(heart, u, v + half)
    axis = [x1[0], y1[0], x1[1], y1[1]]
    return np.vstack([axis, np.stack([x1, y1, x2, y2], axis=1)[2:]])


def leaflets(heart: Heart, moving: Motion, points: int) -> tuple[D, D]:
    """Places (u, v) of the four valve leaflets now: two float64 arrays [T, 4, points].

    Closed leaflets meet a little above the valve plane; open ones point to the apex.
    """
    along = np.linspace(0.05, 1.0, points)
    c = moving.contraction[:, None, None]
    opening = moving.valve[:, None, None]
    level = np.array([heart.length, heart.length, 0.94 * heart.length, 0.94 * heart.length])
    edge = edges(heart, level - 0.5)
    hinge = np.array([edge[4][0], edge[5][1], edge[2][2] + 1, edge[3][3]])
    side = np.array([1.0, -1.0, 1.0, -1.0])  # from the hinge towards the valve's middle
    span = np.array(
        [edge[5][0] * 2, edge[5][0] * 2, edge[3][2] - edge[2][2], edge[3][2] - edge[2][2]]
    )
    reach = span * np.array([0.62, 0.46, 0.55, 0.5])
    hinge, side, reach = (a[None, :, None] for a in (hinge, side, reach))
    narrow = 1 - 0.6 * heart.narrowing * c
    angle = np.deg2rad(80) * (1 - opening) + np.deg2rad(16) * opening
    bend = angle + 0.35 * (1 - along) - 0.2 * (1 - opening)
    across = np.cumsum(np.sin(bend) * np.ones_like(reach), axis=2) / points * reach
    upward = np.cumsum(np.cos(bend) * np.ones_like(reach), axis=2) / points * reach
    u_then = level[None, :, None]
    u = u_then * (1 - heart.shortening * c) - upward + moving.du[:, None, None]
    v = (hinge * narrow + side * across * narrow) + moving.dv[:, None, None]
    return u, v + moving.turn[:, None, None] * u
