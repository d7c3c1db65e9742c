"""An agent as data: the weights of V, M and C, and how C was wired when they were evolved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from worldmodels_repro.data.stacks import Sight
from worldmodels_repro.envs.game import Game
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.errors import UserError
from worldmodels_repro.frame import FRAME, mirror_images
from worldmodels_repro.models.contracts import ForwardModel, Precision, Representation
from worldmodels_repro.models.controller import ControllerShape
from worldmodels_repro.models.convolutions import TABLES, FrameEncoder
from worldmodels_repro.models.mdn_rnn.forward import load_mdn_rnn
from worldmodels_repro.models.network import Joint, Network
from worldmodels_repro.models.runtime import arithmetic
from worldmodels_repro.models.vae.ranges import with_ranges
from worldmodels_repro.models.vae.vision import load_vision
from worldmodels_repro.records import AgentOrigin
from worldmodels_repro.sections import EVOLVED
from worldmodels_repro.storage import load_json, load_npz

if TYPE_CHECKING:
    from worldmodels_repro.config import Config  # workers need no settings


@dataclass(frozen=True, kw_only=True)
class Body:
    """V and M, and what C sees of them: an agent but for its controller.

    Attributes:
        game: as the registry names it.
        vision: V; None where C sees the game's own state, or frames without V.
        memory: M; None where C sees nothing of it.
        inputs: what C sees, in order: z, h, c; or o, the state, alone; or f, frames, alone.
        hidden, bias: C's shape where it was evolved.
        network: C's shape where it was learnt; None where it was evolved.
        sample_z: whether z is a posterior sample or the mean.
        precision: arithmetic of V's encoder and of M's products.
        taken_actions: whether M sees actions as the game takes them.
        sight: how frames are seen where there is no V; None where none are.
        encoder: what sees them before C does, and its weights (1, n); None where C does itself.
        mirror: whether C sees the mirror image beside.
    """

    game: str
    vision: Representation | None
    memory: ForwardModel | None
    inputs: tuple[str, ...]
    hidden: int
    bias: bool
    sample_z: bool
    precision: Precision
    taken_actions: bool = False
    network: Network | None = None
    sight: Sight | None = None
    encoder: tuple[FrameEncoder, np.ndarray] | None = None
    mirror: bool = False

    @property
    def features(self) -> int:
        """F, the numbers that C sees; those of its own convolutions where it sees frames."""
        if self.network is not None:
            return self.network.features
        return sum(self.sizes[name] for name in self.inputs)

    @property
    def seen(self) -> int:
        """Numbers that it is given: twice as many where it looks into a mirror."""
        return self.features * (1 + self.mirror)

    @property
    def sizes(self) -> dict[str, int]:
        """Numbers in each thing that C may see, by its name in ``inputs``."""
        return {"o": game_named(self.game).state,
                "f": self.encoder[0].outputs if self.encoder else 0,
                "z": self.vision.size if self.vision else 0,
                **(self.memory.sizes if self.memory else {})}

    def encode(self, stacks: np.ndarray) -> np.ndarray:
        """Stacks of frames (B, 64, 64, C) as C sees them: as they are, or encoded (B, F)."""
        if self.encoder is None:
            return stacks
        layers, weights = self.encoder
        return layers.act(weights, stacks)

    @property
    def shape(self) -> ControllerShape | Network:
        """C's sizes."""
        if self.network is not None:
            return self.network
        return ControllerShape(self.features, game_named(self.game).actions, self.hidden, self.bias)

    @property
    def acts(self) -> Callable[[np.ndarray], np.ndarray]:
        """What C's outputs (B, n) are as actions (B, A) in the game's ranges."""
        game = game_named(self.game)
        values = self.network is not None and self.network.kind == "values"
        return game.choose if values else game.act


@dataclass(frozen=True)
class Spread:
    """Where CMA-ES had come to: candidates are ``mean + root @ normal``.

    Attributes:
        mean: (n,) of the distribution.
        root: (n, n), of its covariance.
    """

    mean: np.ndarray
    root: np.ndarray

    def candidates(self, normal: np.ndarray) -> np.ndarray:
        """Draws (..., n) of a standard normal -> candidates (..., n)."""
        return np.asarray(self.mean + normal @ self.root.T)

    def wide(self, sigma: float) -> Spread:
        """The same mean and shape, with weights that differ by ``sigma`` on average."""
        now = np.sqrt(np.mean(np.sum(self.root**2, axis=1)))
        return Spread(self.mean, self.root * (sigma / now))


@dataclass(frozen=True)
class Agent:
    """A body and its controller's weights (n,), with where they come from.

    ``spread`` is where the search for them had come to, for those who ask for candidates.
    """

    body: Body
    weights: np.ndarray
    origin: AgentOrigin
    spread: Spread | None = None


def load_body(run: Path, config: Config) -> Body:
    """V and M of a run folder, wired as ``config`` says.

    Raises:
        UserError: a file is missing or does not fit, or the game is not one for such a C.
    """
    vision = memory = sight = encoder = None
    precision = arithmetic(config.evolve.precision)
    if config.controller.inputs == ("f",):
        sight = sight_of(config)
        if config.controller.encoder == "frozen":
            encoder = encoder_of(config), pretrained_encoder(run, config)[None]
    elif config.controller.sees_v:
        vision = load_vision(run, config.vae.layers).only_encoder()
        if precision == "int8":
            vision = with_ranges(run, vision)
    if vision is not None and any(name in ("h", "c") for name in config.controller.inputs):
        memory = load_mdn_rnn(run, config.memory, vision.size, game_named(config.game).actions)
        if config.evolve.untrained_memory:
            memory = memory.untrained(config.seed)
        memory = memory.only_recurrence()
    body = Body(game=config.game, vision=vision, memory=memory, inputs=config.controller.inputs,
                hidden=config.controller.hidden, bias=config.controller.bias,
                sample_z=config.evolve.sample_z, precision=precision,
                taken_actions=config.memory.taken_actions, sight=sight, encoder=encoder,
                mirror=asks_twice(config))
    return replace(body, network=network_of(config, encoder_of(config).outputs if sight
                                            else body.features))


def asks_twice(config: Config) -> bool:
    """Whether C is asked of the mirror image too: the mean of two actions must be an action."""
    game = game_named(config.game)
    return config.controller.mirror and game.mirrored is not None and bool(game.ranges)


def sees(config: Config) -> list[str]:
    """What C sees, in words."""
    return [*config.controller.inputs, *["those of the mirror image"] * asks_twice(config)]


def sight_of(config: Config) -> Sight:
    """How a run sees frames that has no V."""
    frames = config.frames
    return Sight(stack=frames.stack, gray=frames.gray, background=frames.background,
                 skip=frames.skip)


def encoder_of(config: Config) -> FrameEncoder:
    """What sees them, as data."""
    return FrameEncoder(sight_of(config).shape, TABLES[config.frames.layers],
                        config.frames.latent)


def pretrained_encoder(run: Path, config: Config) -> np.ndarray:
    """The weights (n,) that the run's autoencoder has learnt for it.

    Raises:
        UserError: there are none, or they do not fit.
    """
    path, wanted = run / "pretrain" / "autoencoder" / "encoder.npz", encoder_of(config).weights
    weights = load_npz(path, ["weights"])["weights"]
    if weights.shape != (wanted,):
        raise UserError(f"{path} holds {weights.shape} weights, the section frames asks for "
                        f"({wanted},): use the config it was trained with")
    return weights.astype(np.float32)


def shape_of(config: Config) -> ControllerShape | Network:
    """C's sizes, before anything of the run is there.

    Raises:
        UserError: the game has not what C is to see, or to do.
    """
    game, memory, controller = game_named(config.game), config.memory, config.controller
    sizes = {"z": config.vae.z, "h": memory.units, "c": memory.units, "o": game.state,
             "f": encoder_of(config).outputs}
    features = sum(sizes[name] for name in controller.inputs)
    return network_of(config, features) or ControllerShape(
        features, game.actions, controller.hidden, controller.bias)


def network_of(config: Config, features: int) -> Network | None:
    """The network that is C where it is learnt, of so many features; None where C evolves.

    Where C sees frames the features are those of its own convolutions.

    Raises:
        UserError: the game has not what C is to see, or to do.
    """
    game, by, settings = game_named(config.game), config.controller.by, config.learn
    if config.controller.inputs == ("o",) and not game.state:
        raise UserError(f"{game.name} has no state to see, only frames: set "
                        "controller.inputs=[z,h]")
    if (game.joint is None) != (config.controller.classes is None):
        raise UserError(f"{game.name} has classes to tell apart: set controller.by=dqn, "
                        "controller.inputs=[o] and controller.classes=frozen, tuned or fresh"
                        if game.joint else f"{game.name} has no classes to tell apart: set "
                        "controller.classes=null, or game=detector_joint")
    if by in EVOLVED:
        return None
    if by == "dqn" and game.choices is None:
        raise UserError(f"{game.name} has no choices for DQN to pick from: set controller.by=td3")
    if by in ("ppo", "td3") and not game.ranges:
        raise UserError(f"{game.name} is a game of choices, {by.upper()} learns numbers in ranges: "
                        "set controller.by=dqn")
    if by == "ppo":
        return None
    network = Network(features=features, hidden=settings.layers, activation=settings.activation,
                      outputs=game.actions if game.choices is None or by == "td3"
                      else len(game.choices), kind="values" if by == "dqn" else "actions",
                      dueling=settings.dueling,
                      encoder=encoder_of(config) if config.controller.sees_frames else None)
    if game.joint is None:
        return network
    return Joint(features=features, outputs=network.outputs, hidden=network.hidden,
                 activation=network.activation, dueling=network.dueling,
                 classes=classes_of(config, game))


def classes_of(config: Config, game: Game) -> Network:
    """What tells apart, as data, what the game shows.

    Raises:
        UserError: it is of other windows than the game's.
    """
    settings = config.classify
    assert game.joint is not None  # whoever asks has looked
    _, seen, classes = game.joint
    if settings.window**2 != seen or settings.output != 1:
        raise UserError(f"{game.name} shows windows of {seen} pixels, of which the middle one is "
                        f"told: set classify.window={round(seen**0.5)} and classify.output=1")
    return Network(features=seen, outputs=classes, hidden=(settings.units,) * settings.layers)


def load_agent(run: Path) -> Agent:
    """The agent of a finished, or half finished, run folder.

    Raises:
        UserError: there is none.
    """
    from worldmodels_repro.config import load_config

    own = run / "config.yaml"
    stage = load_config(own).controller.stage if own.exists() else "evolve"
    path = run / stage / "agent.npz"
    if not path.exists():
        raise UserError(f"{run} holds no agent (no {stage}/agent.npz): name a run folder whose "
                        f"{stage} stage has begun")
    body = load_body(run, load_config(own))
    weights = load_npz(path, ["weights"])["weights"]
    if weights.shape != (body.shape.weights,):
        raise UserError(f"{path} holds {weights.shape} weights, its config asks "
                        f"for ({body.shape.weights},): it belongs to another run")
    return Agent(body, weights.astype(np.float32),
                 load_json(path.with_name("agent.json"), AgentOrigin))


class Senses:
    """V and M at work on B episodes in lockstep: frames in, what C sees out.

    ``see`` then C acts then ``remember``: act on (z_t, h_t), then feed (z_t, a_t) to M for
    h_{t+1} (appendix A.4's loop). Where C looks into a mirror V and M have 2 B rows, those of the
    mirror images last.

    Attributes:
        state: (B, n) of z, h and c each, what V and M say now, whether C sees it or not.
    """

    def __init__(self, body: Body, batch: int):
        assert body.vision is not None  # StatesWorld is for those without
        self._batch, self._views = batch, 1 + body.mirror
        rows, game = self._views * batch, game_named(body.game)
        # Encoders of half and a quarter of the batch as well: towards the end of a chunk few
        # slots are live, and V is the dearest part of a step. An image's bits are the same in
        # all of them; each takes 8 MB.
        self._encoders = {size: body.vision.encoder(self._views * size, body.precision)
                          for size in sorted({batch, -(-batch // 2), -(-batch // 4)})}
        self._memory = body.memory.follow(rows, body.precision) if body.memory else None
        self._sample, self._told = body.sample_z, game.told(body.taken_actions)
        self._mirrored = game.mirrored if body.mirror else None
        self._frames = np.zeros((rows, *FRAME), np.uint8)
        self._z = np.zeros((rows, body.vision.size), np.float32)
        state = {"z": self._z} | dict(self._memory.state if self._memory else {})
        self.state = {name: array[:batch] for name, array in state.items()}
        self._parts = [state[name][first:first + batch]
                       for first in range(0, rows, batch) for name in body.inputs]
        self._features: np.ndarray = np.zeros((batch, body.seen), np.float32)

    def forget(self, slot: int) -> None:
        """An episode begins in this slot: h_0 = c_0 = 0."""
        if self._memory is not None:
            for row in range(slot, len(self._z), self._batch):
                self._memory.reset(row)

    def see(self, frames: np.ndarray, noise: np.ndarray,
            live: np.ndarray | None = None) -> np.ndarray:
        """Look at every slot's frame.

        Args:
            frames: (B, 64, 64, 3) uint8.
            noise: (B, z) standard normal.
            live: indices of the slots that matter; None for all. The others keep their z.

        Returns:
            Features (B, F), those of the mirror image last; the array is reused by the next call.
        """
        slots = np.arange(self._batch) if live is None else live
        count = len(slots)
        if count:
            size = next(size for size in self._encoders if size >= count)
            looked = self._frames[:self._views * size]  # rows that only fill the batch are old
            looked[:count] = frames[slots]
            if self._mirrored is not None:
                looked[size:size + count] = mirror_images(looked[:count])
            mu, logvar = self._encoders[size].encode(looked)
            for view in range(self._views):
                rows, of = slots + view * self._batch, slice(view * size, view * size + count)
                self._z[rows] = (mu[of] + np.exp(0.5 * logvar[of]) * noise[slots]
                                 if self._sample else mu[of])
        return np.concatenate(self._parts, axis=1, out=self._features)

    def remember(self, actions: np.ndarray) -> None:
        """Actions (B, A) just taken: M moves on."""
        if self._memory is None:
            return
        if self._mirrored is not None:
            actions = np.concatenate([actions, self._mirrored(actions)])  # (2 B, A)
        self._memory.step(self._z, self._told(actions))
