"""From a moving heart to B-mode ultrasound: scatterers, point spread, compression, scan lines.

The tissue is a map of complex Gaussian scatterers at end-diastole, whose envelope is Rayleigh
(Wagner et al. 1983, "Statistics of speckle in ultrasound B-scans"). Each frame looks its
scatterers up through the heart's motion, on the scanner's own grid of depths and lines, so that
speckle moves with the tissue; blurs them across lines (wider away from the focus, and with depth
in pixels) and along depth; attenuates, adds noise, compensates by depth (TGC), compresses to
decibels and converts to the image's pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from bench.data.simulate_echo import heart as anatomy
from bench.data.simulate_echo.heart import SIZE, U_FROM, U_TO, V_TO, D, F, Heart, Motion

DEPTHS, LINES = 160, 120
PER_PIXEL = 2  # scatterers a pixel of the tissue map
_LEAFLET_POINTS = 40
_WHITE_DB = 19.0  # what is white at no gain, above mid-wall muscle
# Less does not show in a float32 sum; numbers near the smallest float32 are ten times as slow.
_NOTHING = 1e-20


@dataclass(frozen=True, kw_only=True)
class Scanner:
    """One examination's settings. Decibels are relative to mid-wall muscle."""

    top_y: float  # of the sector's tip, pixels
    radius: float  # sector's depth, pixels
    half_angle: float
    depth_cm: float
    beam: float  # beam's standard deviation at the focus, radians
    focus: float  # share of the radius
    pulse: float  # pulse's standard deviation, pixels
    attenuation_db: float  # over the whole depth, what TGC does not make up for
    noise_db: float
    clutter_db: float
    dynamic_range_db: float
    gain_db: float
    gamma: float


def draw_scanner(rng: np.random.Generator) -> Scanner:
    return Scanner(
        top_y=float(rng.uniform(0, 4)),
        radius=float(rng.uniform(102, 110)),
        half_angle=float(np.deg2rad(rng.uniform(34, 43))),
        depth_cm=float(rng.uniform(13.5, 18)),
        beam=float(rng.uniform(0.011, 0.019)),
        focus=float(rng.uniform(0.4, 0.7)),
        pulse=float(rng.uniform(0.6, 0.95)),
        attenuation_db=float(rng.uniform(2, 14)),
        noise_db=float(rng.uniform(-44, -30)),
        clutter_db=float(rng.uniform(-34, -16)),
        dynamic_range_db=float(rng.uniform(46, 62)),
        gain_db=float(rng.normal(-1, 3.5)),
        gamma=float(rng.uniform(1.0, 1.6)),
    )


def render(
    heart: Heart, scanner: Scanner, moving: Motion, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """The clip: uint8 [T, SIZE, SIZE]."""
    depth = (np.arange(DEPTHS) + 0.5) / DEPTHS
    angle = scanner.half_angle * (2 * (np.arange(LINES) + 0.5) / LINES - 1)
    r = (depth * scanner.radius)[:, None]
    x = SIZE / 2 + r * np.sin(angle)
    y = scanner.top_y + r * np.cos(angle)
    u, v = anatomy.heart_place(heart, x, y)
    echo = _look_up(tissue(heart, rng), heart, moving, u, v)
    _add_leaflets(echo, heart, scanner, moving, rng)
    echo = _blur(echo, scanner, depth)
    level = -scanner.attenuation_db * depth[:, None] + _lines_gain(rng)
    echo *= (10 ** (level / 20)).astype(np.float32)
    echo += _clutter(scanner, depth, rng)
    noise = rng.standard_normal(echo.shape, dtype=np.float32)
    echo += noise * np.float32(10 ** (scanner.noise_db / 20))
    power = _compounded(echo[0] ** 2 + echo[1] ** 2)
    tgc = _bumps(rng, DEPTHS, 3, 2.5)[:, None] + 0.75 * scanner.attenuation_db * depth[:, None]
    db = 10 * np.log10(power + 1e-9) + (tgc + scanner.gain_db).astype(np.float32)
    grey = np.clip((db - _WHITE_DB) / scanner.dynamic_range_db + 1, 0, 1) ** scanner.gamma
    flat = grey.reshape(len(grey), -1).T
    image = (_scan_conversion(scanner) @ flat).T.reshape(-1, SIZE, SIZE)
    return np.asarray((image * 255).round().astype(np.uint8))


def _bumps(rng: np.random.Generator, n: int, knots: int, db: float) -> D:
    """A smooth random profile of n values with standard deviation of about `db`."""
    noise = gaussian_filter1d(rng.standard_normal(3 * n), n / knots / 2, mode="wrap")[n : 2 * n]
    return np.asarray(db * noise / max(float(np.sqrt(np.mean(noise**2))), 1e-6))


def _field(rng: np.random.Generator, shape: tuple[int, int], scale: float) -> F:
    """A smooth random field of unit variance; scale in cells."""
    coarse = max(1, int(scale / 2))
    small = tuple(n // coarse + 2 for n in shape)
    field = gaussian_filter(rng.standard_normal(small, dtype=np.float32), scale / coarse)
    field = np.repeat(np.repeat(field, coarse, 0), coarse, 1)[: shape[0], : shape[1]]
    return np.asarray(gaussian_filter(field, coarse / 2) / field.std(), np.float32)


def tissue(heart: Heart, rng: np.random.Generator) -> F:
    """Scatterers (real, imaginary) at end-diastole, PER_PIXEL a pixel: float32 [2, U, V]."""
    u = np.arange(U_FROM * PER_PIXEL, U_TO * PER_PIXEL) / PER_PIXEL
    v = np.arange(-V_TO * PER_PIXEL, V_TO * PER_PIXEL) / PER_PIXEL
    shape = (len(u), len(v))
    db = _decibels(heart, u, v, shape, rng)
    grain = rng.standard_normal((2, *shape), dtype=np.float32)
    grain = gaussian_filter(grain, (0, 1.2, 1.2))
    grain /= grain.std()
    amplitude = 10 ** (db / 20) / np.sqrt(2)
    return np.asarray(grain * amplitude, np.float32)


def _decibels(heart: Heart, u: D, v: D, shape: tuple[int, int], rng: np.random.Generator) -> F:
    """How bright each place is, in decibels relative to mid-wall muscle: float32 [U, V]."""
    edge = _roughened(heart, u, rng).astype(np.float32)[:, :, None]
    place = v.astype(np.float32)[None]
    level = u.astype(np.float32)[:, None]
    length = heart.length
    coarse, fine = _field(rng, shape, 22), _field(rng, shape, 6)
    around = rng.uniform(-24, -11, 2)  # fat, lung or liver on the right heart's and the left's side
    db = np.where(place > 0, around[0], around[1]) + 7 * coarse + 3 * fine
    # Walls along the beam give less back than the apex across it; some parts drop out.
    dropout = 7 * np.clip(_field(rng, shape, 28) - 0.6, 0, 2)
    muscle = 1.5 * coarse + 2.0 * fine - dropout - 3 * np.clip(level / length, 0, 0.8)
    thin = muscle - rng.uniform(3, 8)
    blood = -33 + 2 * coarse
    right_wall = (place >= edge[1]) & (place < edge[2])
    right_blood = (place >= edge[2]) & (place < edge[3])
    septum = (place >= edge[3]) & (place < edge[4])
    left_blood = (place >= edge[4]) & (place < edge[5])
    left_wall = (place >= edge[5]) & (place < edge[6])
    roof = level > length + heart.la_length
    db = np.where(right_wall, thin + 1, db)
    trabeculae = np.where((level < 0.6 * length) & (fine > 0.9), 20.0, 0.0)
    db = np.where(right_blood, blood + 1 + trabeculae, db)
    db = np.where(septum, np.where(level > length, thin, muscle), db)
    fossa = septum & (np.abs(level - length - 0.5 * heart.la_length) < 0.2 * heart.la_length)
    db = np.where(fossa, thin - 8, db)
    db = np.where(left_blood, blood, db)
    db = np.where(left_wall, np.where(level > length, thin, muscle - 1), db)
    papillary = ((level - rng.uniform(0.42, 0.6) * length) / (0.13 * length)) ** 2
    papillary = papillary + ((place - edge[5] + 1.0) / rng.uniform(2.5, 4.0)) ** 2 < 1
    db = np.where(left_blood & papillary, muscle - 3, db)
    # Lines that reflect: pericardium, endocardium of the septum, the rings of both valves.
    shine = 3 * np.clip(_field(rng, shape, 20), -1, 1)
    pericardium = np.abs(place - edge[6] - 0.8) < 1.1
    bright = rng.uniform(-1, 6) + 2 * shine - 0.5 * dropout
    db = np.where(pericardium & (level > 0) & (level < 1.05 * length), bright, db)
    epicardium = (np.abs(place - edge[1] + 0.8) < 0.9) & (level > heart.rv_start * length)
    db = np.where(epicardium & (level < length), bright - 4, db)
    for row, ring in ((4, length), (5, length), (2, 0.94 * length), (3, 0.94 * length)):
        at = np.argmin(np.abs(u - ring))
        near = (level - ring) ** 2 + ((place - edge[row, at]) * 0.8) ** 2
        db = np.where(near < rng.uniform(3, 9), rng.uniform(1, 6), db)
    behind = roof & (level < length + heart.la_length + rng.uniform(4, 9))
    db = np.where(behind & (np.abs(place) < 45), rng.uniform(-8, 3) + 2 * shine + 3 * coarse, db)
    return np.asarray(db, np.float32)


def _roughened(heart: Heart, u: D, rng: np.random.Generator) -> D:
    """The heart's edges with irregular atria and right heart; the left ventricle's stay exact."""
    edge = anatomy.edges(heart, u)
    beyond = np.clip((u - heart.length) / 8, 0, 1)
    bend = _bumps(rng, len(u), 6, 1.0)
    for row, size in ((1, 1.2), (2, 1.2), (3, 0.5), (4, 0.5), (5, 1.3), (6, 1.3)):
        right = beyond if row > 2 else np.ones_like(u)
        edge[row] += right * (size * _bumps(rng, len(u), 9, 1.0) + bend)
    return np.sort(edge, axis=0)


def _look_up(scatterers: F, heart: Heart, moving: Motion, u: D, v: D) -> F:
    """Scatterers at heart-frame u, v [DEPTHS, LINES], every frame: [2, T, DEPTHS, LINES]."""
    rows = np.arange(U_FROM, U_TO, dtype=np.float32)
    columns = np.arange(-V_TO, V_TO, dtype=np.float32)
    u_back, v_back = anatomy.displacement(heart, moving, rows, columns)
    row = np.clip(np.rint(u - U_FROM), 0, len(rows) - 1).astype(np.intp).ravel()
    column = np.clip(np.rint(v + V_TO), 0, len(columns) - 1).astype(np.intp).ravel()
    height, width = scatterers.shape[1:]
    u_then = u.ravel().astype(np.float32) + u_back[:, row]
    v_then = (
        v.ravel().astype(np.float32)
        + v_back.reshape(len(v_back), -1)[:, row * len(columns) + column]
    )
    i = np.clip((u_then - U_FROM) * PER_PIXEL + 0.5, 0, height - 1).astype(np.int32)
    j = np.clip((v_then + V_TO) * PER_PIXEL + 0.5, 0, width - 1).astype(np.int32)
    found = np.take(scatterers.reshape(2, -1), i * width + j, axis=1)
    return np.asarray(found.reshape(2, -1, DEPTHS, LINES))


def _add_leaflets(
    echo: F, heart: Heart, scanner: Scanner, moving: Motion, rng: np.random.Generator
) -> None:
    """Adds the valves' leaflets, thin and bright, as point scatterers on the scanner's grid."""
    u, v = anatomy.leaflets(heart, moving, _LEAFLET_POINTS)
    thick = rng.uniform(-0.6, 0.6, (2, 1, 4, _LEAFLET_POINTS))
    x, y = anatomy.image_place(heart, u + thick[0], v + thick[1])
    dx, dy = x - SIZE / 2, y - scanner.top_y
    i = (np.hypot(dx, dy) / scanner.radius * DEPTHS).astype(int)
    j = ((np.arctan2(dx, dy) / scanner.half_angle + 1) / 2 * LINES).astype(int)
    bright = rng.standard_normal((2, 1, 4, _LEAFLET_POINTS)) * 10 ** (rng.uniform(2, 8) / 20)
    frame = np.broadcast_to(np.arange(len(u))[:, None, None], u.shape)
    ok = (i >= 0) & (i < DEPTHS) & (j >= 0) & (j < LINES)
    for part in range(2):
        value = np.broadcast_to(bright[part], u.shape)[ok].astype(np.float32)
        np.add.at(echo[part], (frame[ok], i[ok], j[ok]), value)


def _gaussian_matrix(n: int, sigma: float) -> F:
    """Row-normalised in energy, so that blurred scatterers keep their power; float32 [n, n]."""
    apart = np.subtract.outer(np.arange(n), np.arange(n))
    matrix = np.exp(-0.5 * (apart / sigma) ** 2)
    matrix /= np.sqrt((matrix**2).sum(axis=0))
    matrix[matrix < _NOTHING] = 0.0
    return np.asarray(matrix, np.float32)


def _blur(echo: F, scanner: Scanner, depth: D) -> F:
    """The point spread function: across lines by zones of depth, then along depth."""
    step = 2 * scanner.half_angle / LINES
    out = np.empty_like(echo)
    for zone in np.array_split(np.arange(DEPTHS), 8):
        away = abs(float(depth[zone].mean()) - scanner.focus)
        near = max(0.0, 0.25 - float(depth[zone].mean()))
        sigma = scanner.beam * (1 + 1.6 * away + 6 * near) / step
        part = slice(int(zone[0]), int(zone[-1]) + 1)
        out[:, :, part] = echo[:, :, part] @ _gaussian_matrix(LINES, sigma)
    along = _gaussian_matrix(DEPTHS, scanner.pulse * DEPTHS / scanner.radius)
    return np.asarray(np.matmul(along.T, out))


def _compounded(power: F) -> F:
    """Neighbouring samples' mean (1 2 1): compounding and the reduction to SIZE soften nulls."""
    power[:, 1:-1] = 0.5 * power[:, 1:-1] + 0.25 * (power[:, :-2] + power[:, 2:])
    power[:, :, 1:-1] = 0.5 * power[:, :, 1:-1] + 0.25 * (power[:, :, :-2] + power[:, :, 2:])
    return power


def _lines_gain(rng: np.random.Generator) -> D:
    """Decibels [DEPTHS, LINES]: poor contact and ribs darken wedges, mostly at the sides."""
    place = np.linspace(-1, 1, LINES)
    gain = np.minimum(_bumps(rng, LINES, 4, 2.0), 3)
    for side in (-1, 1):
        edge = 1 - rng.uniform(0.0, 0.5) * (rng.random() < 0.6)
        gain = gain - rng.uniform(4, 16) / (1 + np.exp(-(side * place - edge) / 0.07))
    begins = np.clip((np.arange(DEPTHS) / DEPTHS - rng.uniform(0.0, 0.15)) / 0.1, 0, 1)
    return np.asarray(gain[None] * begins[:, None])


def _clutter(scanner: Scanner, depth: D, rng: np.random.Generator) -> F:
    """Near-field reverberation and haze, at rest before the probe: [2, 1, DEPTHS, LINES]."""
    grain = rng.standard_normal((2, 1, DEPTHS, LINES))
    grain = gaussian_filter(grain, (0, 0, 1.0, 5.0)) * 6
    haze = 10 ** (scanner.clutter_db / 20) * np.exp(-depth / 0.35)
    skin = 10 ** (rng.uniform(-8, 3) / 20) * np.exp(-((depth / rng.uniform(0.04, 0.09)) ** 2))
    return np.asarray(grain * (haze + skin)[:, None], np.float32)


def _scan_conversion(scanner: Scanner) -> sparse.csr_matrix:
    """Bilinear from [DEPTHS, LINES] to the image's pixels, zero outside the sector."""
    y, x = np.mgrid[0:SIZE, 0:SIZE] + 0.5
    dx, dy = x - SIZE / 2, y - scanner.top_y
    i = np.hypot(dx, dy) / scanner.radius * DEPTHS - 0.5
    j = (np.arctan2(dx, dy) / scanner.half_angle + 1) / 2 * LINES - 0.5
    inside = (i > -0.5) & (i < DEPTHS - 0.5) & (j > -0.5) & (j < LINES - 0.5)
    pixel = np.flatnonzero(inside)
    i = np.clip(i[inside], 0, DEPTHS - 1.001)
    j = np.clip(j[inside], 0, LINES - 1.001)
    i0, j0 = i.astype(int), j.astype(int)
    weights, places = [], []
    for di in (0, 1):
        for dj in (0, 1):
            weights.append(np.abs(1 - di - (i - i0)) * np.abs(1 - dj - (j - j0)))
            places.append((i0 + di) * LINES + j0 + dj)
    table = (
        np.concatenate(weights).astype(np.float32),
        (np.tile(pixel, 4), np.concatenate(places)),
    )
    return sparse.csr_matrix(table, shape=(SIZE * SIZE, DEPTHS * LINES))
