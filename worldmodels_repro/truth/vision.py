"""V-audit: how much V shows of the things that C must see, by how far away they are.

A frame's *contrast* at a thing is the mean colour over its pixels less that of a ring around it.
What V's picture has of it is the slope of its contrast on the frame's, over all such things: 1 is
all of it, 0 none. Beside it, whether z alone tells that one is near the player's line.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import cv2
import numpy as np

from worldmodels_repro.envs.take_cover import Landmark, MarkedTakeCover
from worldmodels_repro.models.contracts import Representation
from worldmodels_repro.models.encoding import BATCH, Encoding
from worldmodels_repro.policies.policy import Player

EDGES = (30, 100, 200, 300, 400, 500)  # of the bins of distance, in the game's units
NEAR = 48.0  # off the player's line: a fireball and the player are about that wide
RING = 3  # of V's pixels


@dataclass(frozen=True)
class Sighting:
    """One frame, and what is in it."""

    frame: np.ndarray  # (64, 64, 3) uint8
    landmarks: list[Landmark]


def watch(env: MarkedTakeCover, player: Player, seed: int, every: int = 3) -> list[Sighting]:
    """An episode's frames, every third one, with their landmarks."""
    sightings: list[Sighting] = []
    frame, _ = env.reset(seed=seed)
    step, over = 0, False
    while not over:
        if step % every == 0:
            sightings.append(Sighting(frame.copy(), env.landmarks()))
        frame, _, terminated, truncated, _ = env.step(player.act(frame))
        step, over = step + 1, terminated or truncated
    return sightings


def contrast(picture: np.ndarray, cover: np.ndarray) -> np.ndarray:
    """(64, 64, 3) and the thing's cover (64, 64) -> (3,): its colour less its surroundings'."""
    spread = cv2.dilate((cover > 0).astype(np.uint8), np.ones((2 * RING + 1,) * 2, np.uint8))
    ring = spread.astype(np.float32) * (cover == 0)
    inside = (picture * cover[..., None]).sum((0, 1)) / cover.sum()
    return np.asarray(inside - (picture * ring[..., None]).sum((0, 1)) / max(ring.sum(), 1.0))


def audit(vision: Representation, sightings: list[Sighting],
          rng: np.random.Generator) -> list[dict[str, float]]:
    """A row for each bin of distance.

    Returns:
        ``nearest``, ``farthest``, ``things`` in the bin, ``contrast`` recovered by V's picture,
        and ``probe``: the area under the curve of a linear probe from z on held-out frames, asked
        whether a thing of this bin is near the player's line (NaN without both answers).
    """
    frames = np.stack([sighting.frame for sighting in sightings])
    mu, logvar = Encoding(vision).posteriors(frames)
    decoder, pictures = vision.decoder(BATCH), []
    for first in range(0, len(mu), BATCH):
        padded = np.zeros((BATCH, mu.shape[1]), np.float32)
        part = mu[first:first + BATCH]
        padded[:len(part)] = part
        pictures.append(decoder.decode(padded)[:len(part)].copy())
    seen = np.concatenate(pictures)
    z = mu + np.exp(0.5 * logvar) * rng.standard_normal(mu.shape, np.float32)
    rows = []
    for nearest, farthest in itertools.pairwise(EDGES):
        pairs = [(contrast(frames[i].astype(np.float32), thing.cover),
                  contrast(seen[i].astype(np.float32), thing.cover))
                 for i, sighting in enumerate(sightings) for thing in sighting.landmarks
                 if nearest <= thing.distance < farthest and thing.cover.sum() > 0]
        true, shown = (np.array(side) for side in zip(*pairs, strict=True))
        there = np.array([any(nearest <= thing.distance < farthest and thing.aside < NEAR
                              for thing in sighting.landmarks) for sighting in sightings])
        rows.append({"nearest": nearest, "farthest": farthest, "things": len(pairs),
                     "contrast": float((true * shown).sum() / (true**2).sum()),
                     "probe": _probe(z, there)})
    return rows


def _probe(z: np.ndarray, answers: np.ndarray) -> float:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.preprocessing import StandardScaler

    half = len(z) // 2  # whole episodes on either side but one
    if len(set(answers[:half])) < 2 or len(set(answers[half:])) < 2:
        return float("nan")
    scaler = StandardScaler().fit(z[:half])
    probe = LogisticRegression(max_iter=500).fit(scaler.transform(z[:half]), answers[:half])
    return float(roc_auc_score(answers[half:], probe.decision_function(scaler.transform(z[half:]))))
