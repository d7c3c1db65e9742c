"""A run's model card: what its agent is, what it scored, its limits, all from the run's own files.

It is the ``README.md`` of a run folder that is handed on (``worldmodels results --card``).
"""

from __future__ import annotations

from pathlib import Path

from typing_extensions import TypedDict

from worldmodels_repro.config import Config
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.records import Summary
from worldmodels_repro.report import costs, judgement
from worldmodels_repro.report.architecture import parameters
from worldmodels_repro.run import Run, load_marker
from worldmodels_repro.sections import WORLDS, in_words
from worldmodels_repro.storage import write_atomically
from worldmodels_repro.tables import Cost
from worldmodels_repro.worlds.agent import sees, shape_of

NAME = "README.md"


class Card(TypedDict):
    """What a card says.

    Attributes:
        run: the folder.
        game: the environment that judged.
        actions: what C gives, by name.
        repeat: how often the game does every action.
        by: how C came to be: as ``controller.by`` says.
        sees: what C sees: ``z``, ``h``, ``o``, ...
        parameters: numbers in V, M and C, of those that the run has.
        memory: M in words; empty where the run has no V and no M.
        lent: the run that V and M are of; empty where they are its own.
        policies, agents: episodes by who played them, and the runs that those players are of.
        recorded: where others were recorded; empty where none were.
        episodes, frames: that V, M or the networks before C learnt from; None where nothing says.
        world, temperature: where C learnt.
        chosen_in: where it was chosen.
        results: the judge's, by player; ``dream``: the agent's in M's dream, if it was asked.
        solved, reached: the score that counts as solved, and how many of the agent's episodes
            came to it.
        chosen: the agent's mean where it was chosen, and over how many episodes.
        seed: of the run.
        lacks: what the folder was kept without, in words.
        before: runs that this one goes on from.
        costs: what each stage took.
        made: the commit and the versions of the last stage.
    """

    run: str
    game: str
    actions: list[str]
    repeat: int
    by: str
    sees: list[str]
    parameters: dict[str, int]
    memory: str
    lent: str
    policies: dict[str, int]
    agents: list[str]
    recorded: str
    episodes: int | None
    frames: int | None
    world: str
    chosen_in: str
    temperature: float
    results: dict[str, Summary]
    dream: Summary | None
    solved: float
    reached: int
    chosen: tuple[float, int] | None
    seed: int
    lacks: list[str]
    before: list[str]
    costs: list[Cost]
    made: dict[str, str]


def table(run: Run) -> Card:
    """The card of a run that was judged.

    Raises:
        UserError: it was not, or a file is damaged.
    """
    judged, config = judgement.table(run), run.config
    sees_v = config.controller.sees_v
    lent = (run.path / "vae").readlink().parent.name if (run.path / "vae").is_symlink() else ""
    rollouts = (run.path.parent / lent if lent else run.path) / "rollouts"
    facts = (load_marker(rollouts).get("facts", {})
             if (rollouts / "stage.json").exists() else {})
    own = {"C": shape_of(config).weights} if not sees_v else parameters(config)
    dream = judged.get("dream")
    scores = [row["score"] for row in judged["episodes"]["agent"]]
    game, origin = game_named(config.game), judged["agent"]
    evaluate = load_marker(run.folder("evaluate"))
    starts = [*config.rollouts.agents, config.rollouts.keep, config.vae.start,
              config.memory.start, config.evolve.start, config.learn.start]
    return {
        "run": str(run.path), "game": judged["environment"],
        "actions": game.action_names, "repeat": game.repeat, "by": config.controller.by,
        "sees": sees(config), "parameters": own,
        "memory": _memory(config) if sees_v else "", "lent": lent,
        "policies": dict(config.rollouts.policies) if facts else {},
        "agents": config.rollouts.agents if facts else [],
        "recorded": (config.rollouts.recorded or "") if facts else "",
        "episodes": facts.get("episodes"), "frames": facts.get("frames"),
        "world": config.evolve.world, "chosen_in": config.evolve.worlds[1],
        "temperature": config.evolve.temperature,
        "results": judged["results"],
        "dream": None if dream is None else dream["results"]["agent"],
        "solved": judged["solved"],
        "reached": sum(score >= judged["solved"] for score in scores),
        "chosen": (origin["mean"], origin["episodes"]) if "episodes" in origin else None,
        "seed": config.seed, "lacks": _lacks(run, sees_v),
        "before": [] if lent else sorted({Path(start).as_posix() for start in starts if start}),
        "costs": costs.table(run),
        "made": {"commit": str(evaluate.get("commit", "")),
                 **{name: judged["versions"][name] for name in sorted(judged["versions"])}},
    }


def _memory(config: Config) -> str:
    settings = config.memory
    heads = [name for name, there in (("when an episode ends", settings.done),
                                      ("each step's reward", settings.reward)) if there]
    return (f"an LSTM of {settings.units} units with a mixture of {settings.mixtures} Gaussians "
            f"for each of z's {config.vae.z} numbers"
            + (f", which also foresees {' and '.join(heads)}" if heads else "")
            + (". It never learnt: its weights are random" if config.evolve.untrained_memory
               else ""))


def _lacks(run: Run, sees_v: bool) -> list[str]:
    stage = run.config.controller.stage
    state = {"evolve": "strategy.npz", "learn": "learner.npz"}[stage]
    found = []
    if sees_v and not list((run.path / "rollouts").glob("*.npz")):
        found.append("episodes (they can be played again from their seeds)")
    if not (run.folder(stage) / state).exists():
        found.append(f"{stage}/{state}, so that its C can't be trained on")
    return found


def text(card: Card) -> str:
    """The card as Markdown."""
    run = card["run"]
    return "\n\n".join([
        f"# {Path(run).name}: an agent for {card['game']}",
        f"<!-- Written by `worldmodels results --run {run} --card` from the files beside it. -->",
        _what(card), "## Data", _data(card), "## Scores", _scores(card), "## Limits",
        _limits(card), "## Load it", _load(run), "## Make it again", _again(card)]) + "\n"


def write(run: Run) -> Path:
    """Write the card into its run folder; where it is.

    Raises:
        UserError: the run was not judged, or a file is damaged.
    """
    path, words = run.path / NAME, text(table(run))
    write_atomically(path, lambda file: file.write(words.encode()))
    return path


def _what(card: Card) -> str:
    how = {"cma_es": "evolved with CMA-ES", "open_es": "evolved with OpenAI's ES",
           "pgpe": "evolved with PGPE", "ppo": "learnt by PPO", "dqn": "learnt by DQN",
           "td3": "learnt by TD3"}
    where = in_words(card["world"], card["temperature"])
    sees, gives = ", ".join(card["sees"]), ", ".join(card["actions"])
    if card["repeat"] > 1:
        gives += f", each done {card['repeat']} times"
    numbers = ", ".join(f"{name} {count:,}" for name, count in card["parameters"].items())
    lines = ["Made as in *World Models* (Ha & Schmidhuber, 2018)."]
    if card["memory"]:
        lines += ["- **V** sees: a VAE, frames of 64×64 in colour to z.",
                  f"- **M** remembers: {card['memory']}."]
    lines += [f"- **C** acts: from {sees} to {gives}; {how[card['by']]}, in {where}.",
              f"- Numbers: {numbers}."]
    if card["lent"]:
        lines.append(f"- V and M are those of [{card['lent']}](../{card['lent']}/{NAME}).")
    return "\n".join([lines[0], "", *lines[1:]])


def _data(card: Card) -> str:
    if card["episodes"] is None:
        alone = card["world"] == "real" and not card["memory"]
        return "None: C met the game alone." if alone else "The folder does not say."
    players = ", ".join(f"{count:,} {name}" for name, count in card["policies"].items())
    agents = f"; its agents are of {_named(card['agents'])}" if card["agents"] else ""
    recorded = f" Some were recorded elsewhere: {card['recorded']}." if card["recorded"] else ""
    return (f"{card['episodes']:,} episodes of the game, {card['frames']:,} frames, played by "
            f"policies: {players}{agents}.{recorded}")


def _scores(card: Card) -> str:
    rows = {f"{player} in the game": row for player, row in card["results"].items()}
    if card["dream"] is not None:
        rows["agent in M's dream"] = card["dream"]
    count = card["results"]["agent"]["episodes"]
    return "\n".join([
        f"On held-out seeds of {card['game']} that no training and no selection used.", "",
        "| | episodes | mean ± std | 95 % interval | worst | best |", "|---|---|---|---|---|---|",
        *(f"| {name} | {row['episodes']} | {row['mean']:.0f} ± {row['std']:.0f} "
          f"| [{row['ci95'][0]:.0f}, {row['ci95'][1]:.0f}] | {row['min']:.0f} | {row['max']:.0f} |"
          for name, row in rows.items()), "",
        f"{card['reached']} of {count} episodes came to {card['solved']:g}, which counts as "
        "solved."])


def _limits(card: Card) -> str:
    lines = [f"One run, of seed {card['seed']}: the interval is over episodes, and says nothing of "
             "other runs of the same settings."]
    if card["chosen"] is not None:
        mean, episodes = card["chosen"]
        where = WORLDS[card["chosen_in"]]
        lines.append(f"It was chosen as the best of its evaluations in {where}, by a mean of "
                     f"{mean:.0f} over {episodes} episodes: that number is from the lucky end, the "
                     "table is not.")
    if card["world"] != "real":
        unmet = ("" if card["chosen_in"] == "real" else
                 "C never met the game before it was judged. ")
        lacks = ("M's dream lacks" if card["world"] == "dream" else
                 "the network does not predict")
        lines.append(f"{unmet}What {lacks}, C does not know.")
    lines.append("It knows this game alone. Other colours, other physics: `worldmodels evaluate "
                 f"--run {card['run']} --worlds` measures that.")
    lines.append("On another CPU or with other versions numbers differ in their last digits, and "
                 "so do episodes.")
    lines += [f"Kept without {what}." for what in card["lacks"]]
    return "\n".join(f"- {line}" for line in lines)


def _load(run: str) -> str:
    return "\n".join([
        "```", f"worldmodels play --run {run}             # watch it",
        f"worldmodels evaluate --run {run} --again # play the judged episodes again",
        "```", "", "```python", "import worldmodels_repro", "",
        f'run = worldmodels_repro.load("{run}")', "policy = run.policy()   # reset(slot, seed, "
        "episode), act(frames) -> actions", "run.play(episodes=1).returns", "```"])


def _again(card: Card) -> str:
    run, made = card["run"], card["made"]
    again = f"{run}_again"
    commands = [f"worldmodels all {run}/config.yaml --run {again}"]
    if card["lent"]:
        commands = [f"mkdir {again}", *(f"ln -s ../{card['lent']}/{part} {again}/{part}"
                                        for part in ("vae", "memory")),
                    *(f"worldmodels {verb} --config {run}/config.yaml --run {again}"
                      for verb in ("evolve", "evaluate"))]
    before = (f"It goes on from {_named(card['before'])}: make what is not there first.\n\n"
              if card["before"] else "")
    versions = ", ".join(f"{name} {version}" for name, version in made.items() if name != "commit")
    lent = f", with what {card['lent']} took for V and M" if card["lent"] else ""
    return "\n".join([f"{before}```", *commands, "```", "", f"It took{lent}:", "", "```",
                      costs.text(card["costs"]), "```", "",
                      f"Judged at commit {made['commit'] or 'unknown'} with {versions}."])


def _named(runs: list[str]) -> str:
    return ", ".join(f"`{run}`" for run in runs)
