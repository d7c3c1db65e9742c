"""How what was learnt of frames relates to the game's own state."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from worldmodels_repro.data.stacks import Sight, places_of, stacked
from worldmodels_repro.envs.game import Game, Renderer
from worldmodels_repro.worlds.episodes import Policy, play
from worldmodels_repro.worlds.frames import FramesWorld


@dataclass(frozen=True)
class Watched:
    """N steps of play: frames (N, 64, 64, 3) uint8, states (N, S), and their episodes (N,)."""

    frames: np.ndarray
    states: np.ndarray
    episodes: np.ndarray

    def stacks(self, sight: Sight) -> np.ndarray:
        """What is seen at each step, (N, 64, 64, k c) uint8."""
        first = np.searchsorted(self.episodes, self.episodes)
        looked = np.concatenate([
            sight.look(self.frames[steps], self.frames[steps[0]])
            for steps in (np.flatnonzero(self.episodes == episode)
                          for episode in np.unique(self.episodes))])
        return stacked(looked, places_of(np.arange(len(looked)), first, sight))


def watch(game: Game, policy: Policy, seeds: list[int], max_steps: int,
          renderer: Renderer) -> Watched:
    """Play episodes, and keep what they show and are."""
    world = FramesWorld(game, 1, renderer)
    frames: list[np.ndarray] = []
    states: list[np.ndarray] = []
    ends: list[int] = []

    def keep(seen: np.ndarray, actions: np.ndarray, rewards: np.ndarray,
             dones: np.ndarray) -> None:
        frames.append(seen[0])
        states.append(world.states[0].copy())

    for seed in seeds:
        play(world, policy, [seed], max_steps, watch=keep)
        ends.append(len(frames))
    return Watched(np.stack(frames), np.stack(states),
                   np.searchsorted(ends, np.arange(len(frames)), "right"))


def relation(learnt: np.ndarray, states: np.ndarray,
             episodes: np.ndarray) -> dict[str, list[float]]:
    """What a linear map of learnt numbers (N, F) tells of states (N, S), on episodes (N,) that it
    was not fitted to: every second one.

    Returns:
        ``r2``: of ridge regression, for each number of the state (NaN for one that never changes);
        ``cca``: canonical correlations, as many as there are, the largest first.
    """
    from sklearn.cross_decomposition import CCA
    from sklearn.linear_model import RidgeCV
    from sklearn.metrics import r2_score
    from sklearn.preprocessing import StandardScaler

    there = episodes % 2 == 0
    learnt, moving = learnt[:, learnt[there].std(axis=0) > 1e-6], states[there].std(axis=0) > 1e-6
    known, asked = StandardScaler().fit(learnt[there]), StandardScaler().fit(states[there])
    x, y = known.transform(learnt), asked.transform(states)
    ridge = RidgeCV(alphas=np.logspace(-2, 4, 13)).fit(x[there], y[there])
    told = ridge.predict(x[~there]).reshape(-1, y.shape[1])
    r2 = [float(r2_score(y[~there, number], told[:, number])) if moves else float("nan")
          for number, moves in enumerate(moving)]
    count = min(x.shape[1], int(moving.sum()))
    cca = CCA(n_components=count, max_iter=2000).fit(x[there], y[there][:, moving])
    ours, theirs = cca.transform(x[~there], y[~there][:, moving])
    pairs = [abs(float(np.corrcoef(ours[:, number], theirs[:, number])[0, 1]))
             for number in range(count)]
    return {"r2": r2, "cca": sorted(pairs, reverse=True)}
