"""M's dream as a world: no game and no V, yet C sees features and cannot tell (section 4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from worldmodels_repro.data.episodes import LATENTS, first_posteriors, load_episode
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.errors import UserError
from worldmodels_repro.models.contracts import ForwardModel, Precision
from worldmodels_repro.models.mdn_rnn.forward import load_mdn_rnn
from worldmodels_repro.models.runtime import arithmetic
from worldmodels_repro.seeds import generator
from worldmodels_repro.storage import Arrays, load_npz
from worldmodels_repro.worlds.agent import asks_twice

if TYPE_CHECKING:
    from worldmodels_repro.config import Config  # workers need no settings

AHEAD = 64  # steps whose noise is drawn at once; another number is other dreams


@dataclass(frozen=True, kw_only=True)
class Dream:
    """A dream as data: M, and where dreams start.

    Attributes:
        game: as the registry names it: what actions are, and how long an episode may last.
        memory: M.
        starts: ``mu`` and ``logvar``, (E, z) each: V's posteriors of E episodes' first frames.
        inputs: what C sees, in order: z, h, c.
        temperature: tau; 1 is M as it was trained, more is more uncertain.
        precision: arithmetic of M's matrix products.
        taken_actions: whether M sees actions as the game takes them.
        ending_weight: what an ending weighed in M's training, for dreams that end by a draw with
            M's probability; None: they end where its logit is above 0.
        dropout: each dream does without this share of M, the same one to its end.
        spread: each dream's temperature is uniform within this share of ``temperature``.
    """

    game: str
    memory: ForwardModel
    starts: Arrays
    inputs: tuple[str, ...]
    temperature: float
    precision: Precision
    taken_actions: bool = False
    ending_weight: float | None = None
    dropout: float = 0.0
    spread: float = 0.0

    def told(self) -> Callable[[np.ndarray], np.ndarray]:
        """What M is told of actions."""
        return game_named(self.game).told(self.taken_actions)

    @property
    def features(self) -> int:
        """Numbers that C sees."""
        return sum(self.memory.sizes[name] for name in self.inputs)


def load_dream(run: Path, config: Config, temperature: float | None = None) -> Dream:
    """The dream of a run folder's M.

    Args:
        run: the folder.
        config: the run's.
        temperature: in place of ``evolve.temperature``.

    Raises:
        UserError: a file is missing or does not fit.
    """
    if asks_twice(config):
        raise UserError(f"the C of {run} looks into a mirror, and M's dream has no picture to "
                        "mirror")
    starts = load_starts(run)
    settings, evolve = config.memory, config.evolve
    memory = load_mdn_rnn(run, settings, starts["mu"].shape[1], game_named(config.game).actions)
    return Dream(game=config.game, memory=memory, starts=starts, inputs=config.controller.inputs,
                 temperature=evolve.temperature if temperature is None else temperature,
                 precision=arithmetic(evolve.precision), taken_actions=settings.taken_actions,
                 ending_weight=settings.done_weight if evolve.drawn_endings else None,
                 dropout=evolve.dropout, spread=evolve.temperature_spread)


def load_starts(run: Path) -> Arrays:
    """``mu`` and ``logvar`` (E, z) of every episode's first frame.

    M's training keeps them beside its weights; for an M of before that, they are read from the
    latents.

    Raises:
        UserError: neither is there.
    """
    kept = run / "memory" / "starts.npz"
    if kept.exists():
        starts = load_npz(kept, ("mu", "logvar"))
    else:
        latents = run / "latents"
        names = sorted(path.stem for path in latents.glob("*.npz"))
        if not names:
            raise UserError(f"{latents} holds no episode to start a dream from: type "
                            f"worldmodels latents --run {run}")
        starts = first_posteriors(load_episode(latents, name, LATENTS) for name in names)
    if starts["mu"].ndim != 2 or starts["mu"].shape != starts["logvar"].shape:
        raise UserError(f"{kept} holds no posteriors of first frames: restore it, or train M again")
    return {name: array.astype(np.float32) for name, array in starts.items()}


class DreamWorld:
    """B dreams in lockstep.

    An episode starts from a draw of a first frame's posterior, with h_0 = c_0 = 0. Each step's
    reward is the reward head's, or 1 for each time that the action is done; the episode ends when
    the ending head's logit is above 0 (or by a draw: ``Dream.ending_weight``), or with the longest
    that the game allows. All draws come from the episode's seed, a step's after those of the steps
    before: nothing depends on the other slots.

    Args:
        dream: M and the starts.
        slots: B.
    """

    def __init__(self, dream: Dream, slots: int):
        self.slots = slots
        self._game, self._starts = game_named(dream.game), dream.starts
        self._told = dream.told()
        z = dream.memory.sizes["z"]
        self._mind = dream.memory.dream(slots, dream.temperature, dream.precision, dream.dropout,
                                        dream.spread)
        # Slots that are live have the first rows of the mind: idle ones cost nothing.
        self._live = 0
        self._row_of, self._slot_of = np.full(slots, -1), np.full(slots, -1)
        self._rngs: list[np.random.Generator] = [generator(0)] * slots
        self._uniforms = np.zeros((slots, AHEAD, z), np.float32)
        self._normals = np.zeros((slots, AHEAD, z), np.float32)
        self._ending_weight = dream.ending_weight
        self._thresholds = np.zeros((slots, AHEAD))  # where the ending's logit is above, it ends
        self.age = np.zeros(slots, int)
        parts = {"z": self._mind.z} | dict(self._mind.state)
        self._parts = [parts[name] for name in dream.inputs]
        self._features = np.zeros((slots, dream.features), np.float32)
        self._rewards, self._ended = np.zeros(slots), np.zeros(slots, bool)

    def reset(self, slot: int, seed: int) -> None:
        """Begin the dream of this seed: its start and every draw within it."""
        if self._row_of[slot] < 0:
            self._row_of[slot], self._slot_of[self._live] = self._live, slot
            self._live += 1
        rng = self._rngs[slot] = generator(seed)
        start = int(rng.integers(len(self._starts["mu"])))
        mu, logvar = self._starts["mu"][start], self._starts["logvar"][start]
        noise = rng.standard_normal(mu.shape, np.float32)
        row, z = int(self._row_of[slot]), mu + np.exp(0.5 * logvar) * noise
        self._mind.wake(row, z, rng)
        self.age[slot] = 0

    def resume(self, slot: int, seed: int, z: np.ndarray, state: Mapping[str, np.ndarray]) -> None:
        """Dream on in a slot from z (z,) and M's state by name, as from a game that M followed."""
        self.reset(slot, seed)
        self._mind.resume(int(self._row_of[slot]), z, state)

    def rest(self, slot: int) -> None:
        """Nothing more to dream in this slot."""
        row = int(self._row_of[slot])
        if row < 0:
            return
        self._live -= 1
        last = int(self._slot_of[self._live])
        if last != slot:
            self._mind.move(self._live, row)
            self._row_of[last], self._slot_of[row] = row, last
        self._row_of[slot] = -1
        self._rewards[slot], self._ended[slot] = 0.0, False

    def features(self) -> np.ndarray:
        """What C sees now, (B, F); the array is reused by the next call."""
        live = self._slot_of[:self._live]
        column = 0
        for part in self._parts:
            self._features[live, column:column + part.shape[1]] = part[:self._live]
            column += part.shape[1]
        return self._features

    def latents(self) -> np.ndarray:
        """z in each slot, (B, z): what V's decoder would show."""
        z = np.zeros((self.slots, self._mind.z.shape[1]), np.float32)
        z[self._slot_of[:self._live]] = self._mind.z[:self._live]
        return z

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Actions (B, A) -> rewards (B,) and whether each episode ended (B,)."""
        rewards, ended = self.advance(actions)
        return rewards, ended | (self.age >= self._game.max_steps)

    @property
    def terminated(self) -> np.ndarray:
        """(B,) whether M ended a slot's episode with the last step."""
        return self._ended

    def advance(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As :meth:`step`, but for the longest that the game allows: M alone ends an episode."""
        live = self._slot_of[:self._live]
        ahead = self.age[live] % AHEAD
        for slot in live[ahead == 0]:
            self._rngs[slot].random(dtype=np.float32, out=self._uniforms[slot])
            self._rngs[slot].standard_normal(dtype=np.float32, out=self._normals[slot])
            if self._ending_weight is not None:
                # The weight has moved the logit up by its logarithm; logit(p) > a logistic draw
                # with probability p.
                self._thresholds[slot] = self._rngs[slot].logistic(np.log(self._ending_weight),
                                                                   size=AHEAD)
        self._mind.step(self._told(actions[live]), self._uniforms[live, ahead],
                        self._normals[live, ahead])
        self.age[live] += 1
        self._rewards[live] = (float(self._game.repeat) if self._mind.reward is None
                               else self._mind.reward[:self._live])
        if self._mind.done is not None:
            self._ended[live] = self._mind.done[:self._live] > self._thresholds[live, ahead]
        return self._rewards, self._ended
