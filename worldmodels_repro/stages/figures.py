"""Stage 7: every figure and animation that the run folder has data for, and a sample of that data.

Nothing is trained and nothing but ``figures/`` is written; figures are drawn anew every time,
with the settings that the run folder itself holds.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal, TypeVar

from matplotlib.figure import Figure

from worldmodels_repro.config import load_config
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.errors import UserError
from worldmodels_repro.figures.architecture import draw_architecture
from worldmodels_repro.figures.controller import draw_controller
from worldmodels_repro.figures.costs import draw_costs
from worldmodels_repro.figures.curves import draw_memory_curves, draw_vae_curves
from worldmodels_repro.figures.frames import draw_frame_rows
from worldmodels_repro.figures.latents import draw_latents
from worldmodels_repro.figures.learning import draw_learning
from worldmodels_repro.figures.mixtures import draw_mixtures
from worldmodels_repro.figures.predictions import draw_predictions
from worldmodels_repro.figures.scores import draw_ablations, draw_evaluation, draw_generations
from worldmodels_repro.figures.style import in_style, save
from worldmodels_repro.figures.temperatures import draw_temperatures
from worldmodels_repro.models.forward.predictor import load_frame_network
from worldmodels_repro.models.vae.vision import load_vision
from worldmodels_repro.policies.agent import Controllers, on_sight
from worldmodels_repro.policies.policy import EachEpisode
from worldmodels_repro.policies.random import UniformlyRandom
from worldmodels_repro.policies.registry import by_rule_or_held
from worldmodels_repro.progress import Progress
from worldmodels_repro.records import JudgedEpisode, Judgement, called
from worldmodels_repro.report import costs, judgement, temperatures
from worldmodels_repro.report.ablations import ablations
from worldmodels_repro.report.architecture import architecture
from worldmodels_repro.report.controller import controller_map
from worldmodels_repro.report.curves import memory_curves, vae_curves
from worldmodels_repro.report.forward import assets, forward_frames
from worldmodels_repro.report.frames import dream_frames, film_strip, reconstructions
from worldmodels_repro.report.generations import generations
from worldmodels_repro.report.latents import latents
from worldmodels_repro.report.learning import learning
from worldmodels_repro.report.mixtures import mixtures
from worldmodels_repro.report.predictions import predictions
from worldmodels_repro.report.sample import sample_file, write_sample
from worldmodels_repro.run import Run
from worldmodels_repro.seeds import episode_seed
from worldmodels_repro.storage import load_json, load_npz, needed
from worldmodels_repro.watch.film import film, record
from worldmodels_repro.watch.forward_scene import PartsScene
from worldmodels_repro.watch.scene import DreamScene
from worldmodels_repro.worlds.agent import Agent, load_agent
from worldmodels_repro.worlds.dream import load_dream
from worldmodels_repro.worlds.episodes import Policy

Table = TypeVar("Table")


class Drawing:
    """One figure: ``table`` reads what of a run it shows, ``draw`` draws just that."""

    def __init__(self, table: Callable[[Run], Table], draw: Callable[[Table], Figure]):
        self.table: Callable[[Run], Any] = table
        self.draw: Callable[[Any], Figure] = draw


FIGURES: dict[str, Drawing] = {
    "architecture": Drawing(architecture, draw_architecture),
    "vae_curves": Drawing(vae_curves, draw_vae_curves),
    "reconstructions": Drawing(reconstructions, draw_frame_rows),
    "latents": Drawing(latents, draw_latents),
    "memory_curves": Drawing(memory_curves, draw_memory_curves),
    "predictions": Drawing(predictions, draw_predictions),
    "mixtures": Drawing(mixtures, draw_mixtures),
    "dream_frames": Drawing(dream_frames, draw_frame_rows),
    "film_strip": Drawing(film_strip, draw_frame_rows),
    "forward_frames": Drawing(forward_frames, draw_frame_rows),
    "assets": Drawing(assets, draw_frame_rows),
    "generations": Drawing(generations, draw_generations),
    "learning": Drawing(learning, draw_learning),
    "controller": Drawing(controller_map, draw_controller),
    "evaluation": Drawing(judgement.table, draw_evaluation),
    "ablations": Drawing(ablations, draw_ablations),
    "temperatures": Drawing(temperatures.table, draw_temperatures),
    "costs": Drawing(costs.priced, draw_costs),
}
MAX_STEPS = 2100  # the longest film

Casting = Callable[[Run], tuple[Policy, str]]


def run(stage_run: Run, style: str = "screen") -> None:
    """Draw what can be drawn, and say in a line each what can't, and why.

    Args:
        stage_run: whose.
        style: ``screen`` for the run's own figures and films; those of others lie in a folder of
            their own, ``figures/paper/``, without films.

    Raises:
        UserError: nothing could be drawn.
    """
    own = stage_run.path / "config.yaml"
    if not own.exists():
        raise UserError(f"{stage_run.path} holds no run to draw: type "
                        + stage_run.command("rollouts") + " first")
    stage_run = Run(stage_run.path, load_config(own), stage_run.mirror)
    folder, own_look = stage_run.folder("figures"), style == "screen"
    drawn, files = 0, dict[str, Callable[[], str]]()
    # First: figures of a run without latents are drawn from it.
    if own_look or not sample_file(stage_run).exists():
        files["sample"] = lambda: f"{write_sample(stage_run)}: what worldmodels report is made of"
    place = folder if own_look else folder / style
    for name, drawing in FIGURES.items():
        files[name] = partial(_draw, stage_run, place, name, drawing, style)
    if own_look:
        for name, cast in FILMS.items():
            files[name] = partial(_film, stage_run, folder, name, cast)
        files["dream"] = partial(_film_dream, stage_run, folder)
        files["moved assets"] = partial(_film_assets, stage_run, folder)
    with Progress("figures", len(files), "files") as progress:
        for name, draw in files.items():
            try:
                progress.say(draw())
                drawn += 1
            except UserError as error:
                progress.say(f"{name}: skipped, {error}")
            progress.add()
    stage_run.checkpoint("figures")
    if not drawn:
        raise UserError(f"{stage_run.path} holds nothing to draw yet: type "
                        + stage_run.command("rollouts") + ", then the stages after it")


def _draw(stage_run: Run, folder: Path, name: str, drawing: Drawing, style: str) -> str:
    table = drawing.table(stage_run)
    with in_style(style):
        save(drawing.draw(table), folder, name)
    return f"{folder / name}.png"


def _film(stage_run: Run, folder: Path, name: str, cast: Casting) -> str:
    """All films are of the same held-out seed: that of the agent's median score."""
    policy, caption = cast(stage_run)
    path = folder / f"{name}.webp"
    shot = record(stage_run, policy, _typical(stage_run, "evaluation"), path,
                  min(game_named(stage_run.config.game).max_steps, MAX_STEPS), caption)
    return f"{path}: {caption}, {shot.score:.0f} in {shot.steps} steps"


def _film_dream(stage_run: Run, folder: Path) -> str:
    """The final agent in M's dream, at the temperature that the run says."""
    for stage in ("vae", "memory"):
        needed(stage_run.folder(stage) / "weights.npz", stage)
    agent = load_agent(stage_run.path)
    dream = load_dream(stage_run.path, stage_run.config)
    caption, path = called(agent.origin), folder / "dream.webp"
    scene = DreamScene(dream, load_vision(stage_run.path, stage_run.config.vae.layers),
                       Controllers(agent.body, agent.weights[None], 1),
                       _typical(stage_run, "dream"))
    shot = film(scene, path, caption, game_named(stage_run.config.game).fps)
    return f"{path}: {caption}, {shot.score:.0f} in {shot.steps} steps of a dream"


def _film_assets(stage_run: Run, folder: Path) -> str:
    """A game, and the parts that a network puts its frames together of."""
    config = stage_run.config
    needed(stage_run.folder("forward") / "programs.npz", "forward")
    network, game = load_frame_network(stage_run.path, config.forward, config.game), game_named(
        config.game)
    policy, caption = by_rule_or_held(game, config.rollouts)
    path = folder / "assets.webp"
    scene = PartsScene(game, network, policy, episode_seed(config.evaluate.seed, "evaluation", 0))
    while not scene.predicting:
        scene.step(scene.act())
    shot = film(scene, path, caption, game.fps, every=2)
    return f"{path}: {caption}, {shot.steps} steps in a network's parts"


def _typical(stage_run: Run, purpose: Literal["evaluation", "dream"]) -> int:
    """The seed at which the judged agent scored its median (the lower of two), or the first one."""
    path = stage_run.folder("evaluate") / "evaluation.json"
    episodes: list[JudgedEpisode] = []
    if path.exists():
        judged = load_json(path, Judgement)
        scores = judged if purpose == "evaluation" else judged.get("dream")
        episodes = scores.get("episodes", {}).get("agent", []) if scores else []
    if not episodes:
        return episode_seed(stage_run.config.evaluate.seed, purpose, 0)
    return sorted(episodes, key=itemgetter("score"))[(len(episodes) - 1) // 2]["seed"]


def _random(stage_run: Run) -> tuple[Policy, str]:
    game = game_named(stage_run.config.game)
    return EachEpisode(partial(UniformlyRandom, game)), "uniformly random"


def _halfway(stage_run: Run) -> tuple[Policy, str]:
    folder = stage_run.folder("evolve") / "agents"
    past = sorted(folder.glob("generation-*.npz"))
    if len(past) < 2:
        raise UserError(f"{folder} holds {len(past)} agents, none is half-way")
    middle = past[(len(past) - 1) // 2]
    agent = load_agent(stage_run.path)
    agent = Agent(agent.body, load_npz(middle, ["weights"])["weights"], agent.origin)
    generation = int(middle.stem.split("-")[1])
    return on_sight(agent), called({**agent.origin, "generation": generation})


def _final(stage_run: Run) -> tuple[Policy, str]:
    agent = load_agent(stage_run.path)
    return on_sight(agent), called(agent.origin)


FILMS: dict[str, Casting] = {"random": _random, "halfway": _halfway, "final": _final}
