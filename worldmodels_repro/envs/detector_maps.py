"""Maps of a liquid argon detector: what it reads out, and what was there, pixel by pixel.

A map is 256 by 256 pixels of 3 mm, a detector's wires by its clock. Charged particles leave
straight or slightly bent tracks; electrons and photons shower: they radiate and convert until their
energy is spent. The numbers of liquid argon are the Particle Data Group's (minimum loss 2.1 MeV/cm,
radiation length 14.0 cm, scattering by 13.6 MeV / p sqrt(x / X0)); how much a particle that stops
loses at a residual range is Acciarri et al. 2013 (ArgoNeuT, arXiv:1306.1712). All else is a sketch,
made so that a small window tells tracks from showers often, not always.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Protocol

import numpy as np

from worldmodels_repro.errors import UserError
from worldmodels_repro.seeds import generator
from worldmodels_repro.storage import Arrays, load_npz

CLASSES = ("empty", "track", "shower")
SIDE = 256  # pixels of a simulated map
MARGIN = 2  # pixels at its edge around which no window fits
CM = 1 / 0.3  # pixels in a centimetre
COUNTS = 100.0  # the detector's counts for a MeV
MINIMUM = 2.1 / CM  # MeV that a fast particle loses in a pixel
RADIATION = 14.0 * CM  # pixels in which an electron radiates most of its energy
CONVERSION = 9 / 7 * RADIATION  # pixels that a photon flies on average
SCATTER = 13.6 / np.sqrt(RADIATION)  # radians times MeV, a pixel
STOPPING = ((8.0, -0.37), (17.0, -0.42))  # muons and pions, protons: A R^b MeV/cm, R in cm
LANDAU = 0.03  # MeV: how much losses in a pixel differ
DIFFUSION = 0.5  # pixels
PARTS = 3  # in which a pixel's charge drifts
LEAST = 0.12  # MeV: a pixel with less is empty, and less is not read out
NOISE = 0.06  # MeV
SPURIOUS = 80  # pixels of a map that read out something where nothing was
DEAD = 2  # wires of a map that read out nothing
SPENT = 1.0  # MeV: a shower's particle with less is not followed
RADIATES = RADIATION / 6  # pixels from one radiated photon to the next

Map = tuple[np.ndarray, np.ndarray]
"""Source (H, W) float32, in counts, 0 where nothing was read out; target (H, W) uint8, a class."""


class Maps(Protocol):
    """Maps by number, from 0.

    Attributes:
        played: the numbers that a game draws from.
    """

    played: range

    def __len__(self) -> int:
        """How many there are."""

    def __getitem__(self, number: int) -> Map:
        """One of them."""


class Simulated:
    """Maps without end, each made from its number; a game leaves the first thousand to learners of
    windows."""

    played = range(1000, 2**31)

    def __len__(self) -> int:
        return self.played.stop

    def __getitem__(self, number: int) -> Map:
        rng = generator(number, 26)
        tracks, showers = np.zeros((SIDE, SIDE)), np.zeros((SIDE, SIDE))
        for _ in range(rng.integers(2, 6)):
            _track(tracks, rng)
        for _ in range(rng.integers(1, 4)):
            _shower(showers, rng)
        total = tracks + showers
        target = np.where(total < LEAST, 0, np.where(tracks >= showers, 1, 2)).astype(np.uint8)
        noisy = total * rng.normal(1.0, 0.1, total.shape) + rng.normal(0.0, NOISE, total.shape)
        source = np.where(total > 0, noisy, 0.0)
        rows, columns = rng.integers(SIDE, size=(2, SPURIOUS))
        source[rows, columns] += LEAST + rng.exponential(0.2, SPURIOUS)
        source[:, rng.integers(SIDE, size=DEAD)] = 0.0
        source[source < LEAST] = 0.0
        return (COUNTS * source).astype(np.float32), target


def _track(energy: np.ndarray, rng: np.random.Generator) -> None:
    """A particle that stops, or leaves the map, with what it loses on the way."""
    factor, power = STOPPING[int(rng.random() < 0.3)]
    length = int(rng.uniform(20, 300))
    steep = 1.0 / np.sqrt(1.0 - rng.uniform(0.0, 0.9) ** 2)  # pixels of way for one of the map
    left = np.arange(length, 0, -1) * steep / CM  # cm to where it stops
    losses = steep * np.maximum(MINIMUM, factor * left**power / CM)
    momentum = 150.0 + np.cumsum(losses[::-1])[::-1]  # roughly: it scatters more as it slows down
    x, y = rng.uniform(0, SIDE, 2)
    _lose(energy, _way(x, y, rng.uniform(0, 2 * np.pi), SCATTER / momentum, rng), losses, rng)


def _shower(energy: np.ndarray, rng: np.random.Generator) -> None:
    """An electron or a photon, and all that comes of it."""
    x, y = rng.uniform(0.1 * SIDE, 0.9 * SIDE, 2)
    angle, first = rng.uniform(0, 2 * np.pi), float(np.exp(rng.uniform(np.log(60), np.log(1000))))
    waiting = [(x, y, angle, first, bool(rng.random() < 0.5))]
    while waiting:
        x, y, angle, left, photon = waiting.pop()
        if left < SPENT or min(x, y) < -RADIATION or max(x, y) > SIDE + RADIATION:
            continue
        if photon:  # it leaves nothing until it becomes a pair
            way, share = rng.exponential(CONVERSION), rng.random()
            x, y = x + way * np.cos(angle), y + way * np.sin(angle)
            waiting += [(x, y, angle + rng.normal(0, 2 / left), part * left, False)
                        for part in (share, 1 - share)]
            continue
        length = 1 + int(min(rng.exponential(RADIATES), left / MINIMUM))
        losses = np.full(length, MINIMUM)
        energies = np.maximum(left - np.cumsum(losses), SPENT)
        path = _way(x, y, angle, SCATTER / energies, rng)
        _lose(energy, path, losses, rng)
        left, share = float(energies[-1]), rng.random() ** 3  # most photons are soft
        x, y, angle = map(float, path[:, -1])
        waiting += [(x, y, angle + rng.normal(0, 2 / left), left * share, True),
                    (x, y, angle, left * (1 - share), False)]


def _way(x: float, y: float, angle: float, scatter: np.ndarray,
         rng: np.random.Generator) -> np.ndarray:
    """(3, n): x, y and the angle after each pixel of a way that is scattered by (n,) radians."""
    angles = angle + np.cumsum(rng.normal(0.0, scatter))
    return np.stack([x + np.cumsum(np.cos(angles)), y + np.cumsum(np.sin(angles)), angles])


def _lose(energy: np.ndarray, way: np.ndarray, losses: np.ndarray,
          rng: np.random.Generator) -> None:
    """Leave a particle's losses (n,) along its way (3, n) in a map: they differ as Moyal's curve
    does, which is close to Landau's, and drift apart."""
    moyal = -np.log(rng.standard_normal(len(losses)) ** 2 + 1e-12)
    parts = np.repeat(np.maximum(losses + LANDAU * (moyal - 1.27), 0.0) / PARTS, PARTS)
    at = np.repeat(way[:2], PARTS, axis=1) + rng.normal(0.0, DIFFUSION, (2, len(parts)))
    column, row = np.floor(at).astype(int)
    inside = (row >= 0) & (row < SIDE) & (column >= 0) & (column < SIDE)
    np.add.at(energy, (row[inside], column[inside]), parts[inside])


class Folder:
    """A user's own maps: ``image0.npz`` and ``label0.npz``, and so on with any numbers.

    Each file holds one array (H, W), or is a sparse matrix as SciPy writes it.

    Raises:
        UserError: there are none, one lacks its other half, or they don't fit: here, or as they
            are opened.
    """

    def __init__(self, path: str | Path):
        self._path = Path(path)
        images, labels = (self._numbers(name) for name in ("image", "label"))
        if not images:
            raise UserError(f"{path} holds no image0.npz, image1.npz, ...: name a folder of maps")
        if odd := sorted(images ^ labels):
            there, missing = ("image", "label") if odd[0] in images else ("label", "image")
            raise UserError(f"{path} holds {there}{odd[0]}.npz and no {missing}{odd[0]}.npz: each "
                            "map takes both")
        self._files = sorted(images)
        self.played = range(len(self._files))
        self._shape = self._read("image", self._files[0]).shape

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, number: int) -> Map:
        name = self._files[number]
        source, target = self._read("image", name), self._read("label", name)
        for kind, array in (("image", source), ("label", target)):
            if array.shape != self._shape:
                raise UserError(f"{self._path}/{kind}{name}.npz is {array.shape}, "
                                f"image{self._files[0]}.npz is {self._shape}: maps are of one size")
        inside = source[MARGIN:-MARGIN, MARGIN:-MARGIN]
        if not np.isfinite(source).all() or source.min() < 0 or not inside.any():
            raise UserError(f"{self._path}/image{name}.npz must hold numbers from 0 up, and some "
                            f"above 0 further than {MARGIN} pixels from its edge")
        if not np.isin(target, range(len(CLASSES))).all():
            raise UserError(f"{self._path}/label{name}.npz holds the classes "
                            f"{np.unique(target)[:5].tolist()}: there are {len(CLASSES)}, "
                            "0 empty, 1 track, 2 shower")
        return source.astype(np.float32), target.astype(np.uint8)

    def _numbers(self, name: str) -> set[int]:
        found = (re.fullmatch(rf"{name}(\d+)\.npz", path.name)
                 for path in self._path.glob(f"{name}*.npz"))
        return {int(match[1]) for match in found if match}

    def _read(self, kind: str, number: int) -> np.ndarray:
        path = self._path / f"{kind}{number}.npz"
        try:
            arrays = load_npz(path)
            array = _dense(arrays) if "format" in arrays else next(iter(arrays.values()))
            if array.ndim == 2 and min(array.shape) > 2 * MARGIN and array.dtype.kind in "biuf":
                return array
        except (UserError, KeyError, StopIteration, ValueError, IndexError, TypeError):
            pass
        raise UserError(f"{path} is no map: it takes one array of two dimensions, or a sparse "
                        "matrix as SciPy writes it")


def _dense(arrays: Arrays) -> np.ndarray:
    """A sparse matrix as ``scipy.sparse.save_npz`` writes it (csr, csc or coo), whole."""
    form, (height, width), data = arrays["format"].item(), arrays["shape"], arrays["data"]
    whole = np.zeros((height, width), data.dtype)
    if form == b"coo":
        rows, columns = arrays["row"], arrays["col"]
    else:
        rows = np.repeat(np.arange(len(arrays["indptr"]) - 1), np.diff(arrays["indptr"]))
        columns = arrays["indices"]
    np.add.at(whole.T if form == b"csc" else whole, (rows, columns), data)
    return whole
