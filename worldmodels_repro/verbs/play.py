"""``worldmodels play``: watch the agent, or play, in the game or in the dream."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from worldmodels_repro.errors import UserError
from worldmodels_repro.verbs import numbers

if TYPE_CHECKING:
    from worldmodels_repro.run import Run
    from worldmodels_repro.watch.scene import Scene


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare who plays what, and where it is shown."""
    parser.add_argument("--world", choices=("real", "dream", "forward"), default="real",
                        help="the game, M's dream of it, or beside the game what a network that "
                        "predicts frames makes of it (default: real)")
    parser.add_argument("--temperature", type=numbers.temperature, metavar="T",
                        help="of the dream (default: evolve.temperature)")
    player = parser.add_mutually_exclusive_group()
    player.add_argument("--agent", dest="human", action="store_false",
                        default=False, help="watch the agent (the default)")
    player.add_argument("--human", action="store_true", help="play with the arrow keys")
    parser.add_argument("--state", action="store_true",
                        help="forward: no game, but the network's state, moved number by number: "
                        "by itself, or with --human by you (left and right choose one, up and "
                        "down move it, space goes on a step)")
    parser.add_argument("--gif", type=Path, metavar="FILE",
                        help="write the episode here (default without a display: in the run)")
    parser.add_argument("--seed", type=numbers.seed, metavar="N",
                        help="of the episode (default: the first held-out one's)")


def run(stage_run: Run, world: str = "real", temperature: float | None = None,
        human: bool = False, gif: Path | None = None, seed: int | None = None,
        state: bool = False) -> None:
    """Play one episode in a window, or, without a display, the agent's into a file.

    Args:
        stage_run: whose V, M and C.
        world: ``real``, ``dream`` or ``forward``.
        temperature: of the dream (None: as C evolved, or would).
        human: whether a person plays.
        gif: the ``.webp`` or ``.gif`` to write (None: none where there is a window).
        seed: of the episode (None: the first held-out one's).
        state: whether the numbers of a network's state are moved, and no game is played.

    Raises:
        UserError: something is asked for that there is not.
    """
    from worldmodels_repro.config import load_config
    from worldmodels_repro.envs.registry import game_named
    from worldmodels_repro.run import Run
    from worldmodels_repro.seeds import episode_seed
    from worldmodels_repro.watch.animation import check_suffix, write_animation
    from worldmodels_repro.watch.film import film, frame_time
    from worldmodels_repro.watch.forward_scene import by_hand
    from worldmodels_repro.watch.window import has_display, show

    own = stage_run.path / "config.yaml"
    if not own.exists():
        raise UserError(f"{stage_run.path} holds no run to play: name one with --run, "
                        "e.g. --run logs/quick")
    stage_run = Run(stage_run.path, load_config(own))
    game = game_named(stage_run.config.game)
    if temperature is not None and world != "dream":
        raise UserError("--temperature is the dream's: add --world dream")
    if state:
        if world != "forward":
            raise UserError("--state is of a network that predicts frames: add --world forward")
        game = by_hand(game)
    if human and not game.keys:
        raise UserError(f"{game.name} has no keys to play it with: leave --human out")
    if gif is not None:
        check_suffix(gif)
    windowed = has_display() if human or gif is None else False
    if human and not windowed:
        raise UserError("there is no display to play on: leave --human out to have the agent's "
                        "episode written as an animation")
    if seed is None:
        seed = episode_seed(stage_run.config.evaluate.seed,
                            "dream" if world == "dream" else "evaluation", 0)
    scene, name = (_state_scene(stage_run, human, seed) if state else
                   _scene(stage_run, world, temperature, human, seed))
    if not windowed:
        gif = gif or stage_run.path / "play" / f"{'state' if state else world}-{seed}.webp"
        film(scene, gif, name, game.fps)
    else:
        pictures = show(scene, game, human, name)
        if gif is not None:
            write_animation(gif, pictures, frame_time(game.fps))
    print(f"{name}: {scene.score:.0f} in {scene.steps} steps" + (f", {gif}" if gif else ""))


def _scene(stage_run: Run, world: str, temperature: float | None, human: bool,
           seed: int) -> tuple[Scene, str]:
    """What is played, and what its caption says."""
    from worldmodels_repro.envs.registry import game_named
    from worldmodels_repro.policies.agent import Controllers, on_sight
    from worldmodels_repro.records import called
    from worldmodels_repro.storage import needed
    from worldmodels_repro.watch.film import states_of, vision_of
    from worldmodels_repro.watch.scene import DreamScene, GameScene
    from worldmodels_repro.worlds.agent import load_agent
    from worldmodels_repro.worlds.dream import load_dream

    config, path = stage_run.config, stage_run.path
    if world == "forward":
        return _forward_scene(stage_run, human, seed)
    agent = None if human else load_agent(path)
    name = "you" if agent is None else called(agent.origin)
    vision = vision_of(stage_run)
    if world == "dream":
        if vision is None:
            raise UserError(f"{path} has no V and M, so no dream: leave --world dream out")
        needed(stage_run.folder("memory") / "weights.npz", "memory")
        dreaming = None if agent is None else Controllers(agent.body, agent.weights[None], 1)
        return DreamScene(load_dream(path, config, temperature), vision, dreaming, seed), name
    game = game_named(config.game)
    policy = None if agent is None else on_sight(agent)
    return GameScene(game, vision, policy, seed, game.max_steps, states_of(stage_run)), name


def _forward_scene(stage_run: Run, human: bool, seed: int) -> tuple[Scene, str]:
    """The game and the network's prediction; whoever gathers data acts, or a person."""
    from worldmodels_repro.envs.registry import game_named
    from worldmodels_repro.models.forward.predictor import load_frame_network
    from worldmodels_repro.policies.registry import by_rule_or_held
    from worldmodels_repro.storage import needed
    from worldmodels_repro.watch.forward_scene import ForwardScene

    config, path = stage_run.config, stage_run.path
    needed(path / "forward" / "programs.npz", "forward")
    network, game = load_frame_network(path, config.forward, config.game), game_named(config.game)
    if human:
        return ForwardScene(game, network, None, seed), "you"
    policy, name = by_rule_or_held(game, config.rollouts)
    return ForwardScene(game, network, policy, seed), name


def _state_scene(stage_run: Run, human: bool, seed: int) -> tuple[Scene, str]:
    """A network's state, moved by a person or by itself."""
    from worldmodels_repro.storage import needed
    from worldmodels_repro.watch.forward_scene import SWEPT, StateScene
    from worldmodels_repro.worlds.forward import load_forward_dream

    needed(stage_run.path / "forward" / "programs.npz", "forward")
    dream = load_forward_dream(stage_run.path, stage_run.config)
    return StateScene(dream, seed, None if human else SWEPT), "you" if human else "each in turn"
