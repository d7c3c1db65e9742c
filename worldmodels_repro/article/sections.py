"""The article's sections, in order: a row each, and what its template is filled with.

A section's words are in ``web/<name>.html``, what it does in ``web/<name>.js``. Where the run lacks
what one needs, it says in a line what to type.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from worldmodels_repro.article import svg
from worldmodels_repro.article.engine import require_file
from worldmodels_repro.envs.game import Game
from worldmodels_repro.errors import UserError
from worldmodels_repro.models.controller import ControllerShape
from worldmodels_repro.pipeline import STAGES
from worldmodels_repro.progress import clock
from worldmodels_repro.records import Judgement, Summary
from worldmodels_repro.report import costs, judgement
from worldmodels_repro.report.ablations import seen
from worldmodels_repro.report.curves import memory_curves, vae_curves
from worldmodels_repro.report.generations import generations
from worldmodels_repro.report.temperatures import temperatures
from worldmodels_repro.run import Run, load_marker
from worldmodels_repro.sections import EVOLVED, WORLDS
from worldmodels_repro.tables import Curve

PAPER = {"CarRacing-v3": (906, 21), "VizdoomTakeCover-v1": (1092, 556)}
"""Mean and standard deviation of the paper's agents (tables 1 and 2), by what judges here.

CarRacing's C was evolved in the game, Doom's in the dream, at temperature 1.15.
"""


@dataclass(frozen=True, kw_only=True)
class Source:
    """What a page is made of.

    Attributes:
        runs: the run that dreams, then those that it is compared with.
        game: the first one's.
        engine: what the kernel's tensors are; None where the run can't dream.
        no_engine, no_sample: why not, and why there is no sample.
        generations, temperatures: of the agents that are packed.
    """

    runs: list[Run]
    game: Game
    engine: dict[str, Any] | None
    no_engine: str
    no_sample: str
    generations: list[int] = field(default_factory=list)
    temperatures: list[float] = field(default_factory=list)

    @property
    def run(self) -> Run:
        """The run that dreams."""
        return self.runs[0]

    def needs_engine(self) -> dict[str, Any]:
        """The engine.

        Raises:
            UserError: the run can't dream.
        """
        if self.engine is None:
            raise UserError(self.no_engine)
        return self.engine

    def needs_sample(self) -> dict[str, Any]:
        """The engine of a run that has a sample.

        Raises:
            UserError: it has none.
        """
        engine = self.needs_engine()
        if self.no_sample:
            raise UserError(self.no_sample)
        return engine


@dataclass(frozen=True)
class Section:
    """One section.

    Attributes:
        name: of its files, and of its place in the page.
        title: its heading.
        fill: what its template is filled with; a UserError where the run lacks what it shows, None
            where runs need not have it: then it is not on the page.
    """

    name: str
    title: str
    fill: Callable[[Source], Mapping[str, str] | None]


def _cover(source: Source) -> Mapping[str, str]:
    engine = source.needs_engine()
    world = source.run.config.evolve.world
    where = WORLDS[world] + ("" if world == "real" else " alone")
    return {"game": escape(source.game.judge_id), "where": where, "made": _made(source),
            "temperature": f"{engine['temperature']:g}"}


def _made(source: Source) -> str:
    return "evolved" if source.run.config.controller.by in EVOLVED else "learnt"


def _claim(source: Source) -> Mapping[str, str]:
    judged, config = judgement.table(source.run), source.run.config
    agent = judged["results"]["agent"]
    cards = [(f"{agent['mean']:.0f}", f"this run: mean of {agent['episodes']} held-out episodes of "
              f"the unmodified game, one run of seed {config.seed}; 95 % interval of the mean "
              f"{agent['ci95'][0]:.0f} to {agent['ci95'][1]:.0f}, standard deviation "
              f"{agent['std']:.0f}")]
    if judged["environment"] in PAPER:
        mean, deviation = PAPER[judged["environment"]]
        cards.append((str(mean), "the paper: mean of 100 episodes of the game's version of its "
                      f"time, standard deviation {deviation}"))
    if "dream" in judged:
        dreamt = judged["dream"]["results"]["agent"]
        cards.append((f"{dreamt['mean']:.0f}", f"the same agent in M's dream: mean of "
                      f"{dreamt['episodes']} dreams at temperature "
                      f"{judged['dream']['temperature']:g}"))
    if (random := judged["results"].get("random")) is not None:
        cards.append((svg.number(round(random["mean"])),
                      f"a uniformly random policy, {random['episodes']} of the same episodes"))
    world = WORLDS[config.evolve.world]
    where = (f"in {world}" if config.evolve.world == "real" else
             f"in {world}, and the game chose among generations"
             if config.evolve.select == "real" else
             f"in {world} alone: until it was judged this C had never met the game")
    solved = ("above" if agent["ci95"][0] > judged["solved"] else
              "below" if agent["ci95"][1] < judged["solved"] else "around")
    return {"cards": "".join(f'<div><div class="number">{value}</div><p>{escape(words)}</p></div>'
                             for value, words in cards),
            "where": where, "made": _made(source),
            "generation": str(judged["agent"]["generation"]),
            "solved": f"{judged['solved']:g}", "against": solved}


def _dream(source: Source) -> Mapping[str, str]:
    m = source.needs_engine()["m"]
    lacks = {
        (True, True): "",
        (True, False): "This M learned when episodes end, but no rewards: the score is the number "
                       "of steps before the end.",
        (False, True): "This M learned rewards, but not when episodes end: a dream goes on for the "
                       "longest that the game allows.",
        (False, False): "This M learned neither rewards nor endings, as the paper's of this kind "
                        "did not: its dreams have no score, and go on for the longest that the "
                        "game allows.",
    }[m["done"] is not None, m["reward"] is not None]
    keys = ", ".join(source.game.keys) or "none"
    return {"lacks": lacks, "keys": escape(keys), "most": str(source.game.max_steps),
            "name": escape(source.run.path.name)}


def _vision(source: Source) -> Mapping[str, str]:
    source.needs_sample()
    return {"z": str(source.run.config.vae.z), "curve": _loss_curve(source)}


def _loss_curve(source: Source) -> str:
    try:
        require_file(source.run, "vae", "history.csv")
        curves = vae_curves(source.run)
    except UserError as error:
        return _missing(error)
    return _curves("V's loss by epoch, on training and on held-out frames",
                   curves["epoch"], curves["loss"], ("epoch", "V's loss, a frame"))


def _memory(source: Source) -> Mapping[str, str]:
    source.needs_sample()
    try:
        require_file(source.run, "memory", "history.csv")
        curves = memory_curves(source.run)
        curve = _curves("M's loss by gradient step, on training and on held-out episodes",
                        curves["step"], curves["nll"],
                        ("gradient step", "negative log-likelihood, nats a dimension"))
    except UserError as error:
        curve = _missing(error)
    return {"curve": curve, "mixtures": str(source.run.config.memory.mixtures)}


def _futures(source: Source) -> Mapping[str, str]:
    source.needs_sample()
    return {}


def _evolution(source: Source) -> Mapping[str, str]:
    require_file(source.run, "evolve", "generations.csv")
    table = generations(source.run)
    x = table["generation"]
    levels = [*table["worst"], *table["best"]]
    low, high = min(levels), max([*levels, table["solved"]])
    plot = svg.Plot("returns of each generation: best, mean and worst",
                    (0, max(x)), (low, high + 0.05 * (high - low)), ("generation", "return"), 260)
    plot.band(x, table["worst"], table["best"], "agent")
    plot.line(zip(x, table["mean"], strict=True), "agent", "mean")
    plot.rule(table["solved"], "solved")
    for row in table["validations"]:
        plot.interval(row["generation"], row["mean"] - row["interval"],
                      row["mean"] + row["interval"], "other")
    replay = bool(source.generations and source.engine)
    config, world = source.run.config, WORLDS[table["world"]]
    words = {
        "evolved": {"episodes": f"{config.evolve.population} candidates played in {world}, and "
                    "CMA-ES moved towards those that did better.", "of_these": "candidate",
                    "evaluated": "the mean of the distribution"},
        "learnt": {"episodes": f"it played {config.ppo.episodes} episodes in {world} with noise on "
                   "what it does, and what went better than expected was made likelier (PPO).",
                   "of_these": "episode", "evaluated": "C without noise"}}
    return {"chart": plot.svg(), **words[_made(source)],
            "replay": _tiles("The means of some generations in the same dream: same start, same "
                             "draws.") if replay else ""}


def _temperatures(source: Source) -> Mapping[str, str] | None:
    rows = temperatures(source.run)
    if not rows:
        return None
    x = [row["temperature"] for row in rows]
    ends = [end for row in rows for place in (row["dream"], row["real"]) for end in place["ci95"]]
    plot = svg.Plot("scores in dream and game by the dream's temperature",
                    (0.0, max(x) + 0.1), (0.0, max(*ends, source.game.solved)),
                    ("temperature τ of the dream", "mean score"), 260)
    plot.rule(source.game.solved, "solved")
    kinds: tuple[tuple[svg.Kind, str, list[Summary]], ...] = (
        ("agent", "in its dream", [row["dream"] for row in rows]),
        ("other", "in the game", [row["real"] for row in rows]))
    for kind, name, scores in kinds:
        plot.line(zip(x, (row["mean"] for row in scores), strict=True), kind, name)
        for at, row in zip(x, scores, strict=True):
            plot.interval(at, row["ci95"][0], row["ci95"][1], kind)
    return {"chart": plot.svg(),
            "replay": _tiles("The agents, each in a dream of its temperature and of the same "
                             "start.") if source.temperatures and source.engine else ""}


def _tiles(words: str) -> str:
    return (f'<figure><div class="tiles"></div><div class="row"></div><figcaption>{words}'
            "</figcaption></figure>")


def _steering(source: Source) -> Mapping[str, str]:
    engine = source.needs_sample()
    config = source.run.config
    shape = ControllerShape(0, source.game.actions, config.controller.hidden)
    if shape.hidden:
        raise UserError(f"this run's C has {shape.hidden} hidden units: its actions are no sums "
                        "that could be taken apart")
    inputs = engine["c"]["layers"][0][0]
    return {"inputs": str(inputs), "bias": " and a bias" if config.controller.bias else "",
            "sees": " and ".join(config.controller.inputs)}


def _map(source: Source) -> Mapping[str, str]:
    source.needs_sample()
    return {}


def _results(source: Source) -> Mapping[str, str]:
    drawn, lines, missing, solved = [], [], [], source.game.solved
    for run in source.runs:
        try:
            judged = judgement.table(run)
        except UserError as error:
            missing.append(_missing(error))
            continue
        if judged["environment"] != source.game.judge_id:
            missing.append(_missing(f"{run.path} was judged on {judged['environment']}: give each "
                                    "game a page of its own"))
            continue
        for player, row in judged["results"].items():
            name = f"{run.path.name}: {player}"
            if player == "agent" or run is source.run:
                drawn.append((name, row, judged["episodes"][player]))
                lines.append((name, seen(run) if player == "agent" else "", row))
        lines += _dreamt(run, judged)
    if not drawn:
        raise UserError(f"no run has been judged: type {source.run.command('evaluate')}")
    return {"chart": svg.scores("every held-out episode's score, with means and 95 % intervals",
                                drawn, solved),
            "table": _table(("run", "C sees", "episodes", "mean", "std", "95 % interval", "lowest",
                             "highest"), [(name, seen, *_cells(row)) for name, seen, row in lines]),
            "missing": "".join(missing), "game": escape(source.game.judge_id)}


def _dreamt(run: Run, judged: Judgement) -> list[tuple[str, str, Summary]]:
    if "dream" not in judged:
        return []
    tau = judged["dream"]["temperature"]
    return [(f"{run.path.name}: {player}, in its dream at τ {tau:g}",
             seen(run) if player == "agent" else "", row)
            for player, row in judged["dream"]["results"].items()]


def _costs(source: Source) -> Mapping[str, str]:
    table = costs.priced(source.run)
    rows, dollars = table["stages"], table["dollars"]
    lines = [(row["stage"], STAGES[row["stage"]].help, clock(row["seconds"]),
              _dollars(dollars.get(row["stage"])),
              ", ".join(f"{count:,} {unit}" for unit, count in row["spent"].items()))
             for row in rows]
    lines.append(("all", "", clock(sum(row["seconds"] for row in rows)),
                  _dollars(sum(dollars.values())), ""))
    cores = {load_marker(source.run.folder(row["stage"])).get("cores") for row in rows} - {None}
    return {"table": _table(("stage", "what", "time, h:mm:ss", "dollars", "spent"), lines),
            "basis": escape(table["basis"]),
            "cores": " or ".join(str(count) for count in sorted(cores, key=str)) or "some"}


def _dollars(amount: float | None) -> str:
    return "" if amount is None else f"{amount:.2f}"


def _redo(source: Source) -> Mapping[str, str]:
    run, config = source.run, source.run.config
    name = run.path.name
    starts = [f"{setting}: {value if isinstance(value, str) else ', '.join(value)}"
              for setting, value in (
                  ("rollouts.agent", config.rollouts.agent), ("vae.start", config.vae.start),
                  ("memory.start", config.memory.start), ("evolve.start", config.evolve.start))
              if value]
    commits, versions = _made_with(run)
    return {"name": escape(name), "commits": escape(", ".join(commits) or "not known"),
            "versions": escape(", ".join(f"{key} {value}" for key, value in versions.items())),
            "starts": escape("Its stages went on from other runs: " + "; ".join(starts) + "."
                             if starts else ""),
            "config": escape((run.path / "config.yaml").read_text(encoding="utf-8"))}


def _made_with(run: Run) -> tuple[list[str], dict[str, str]]:
    """The source's commits and the packages' versions that a run's stages were made with."""
    commits: dict[str, None] = {}
    versions: dict[str, str] = {}
    for stage in STAGES:
        if (run.folder(stage) / "stage.json").exists():
            marker: Mapping[str, Any] = load_marker(run.folder(stage))
            if marker.get("commit"):
                commits[str(marker["commit"])[:12]] = None
            versions |= marker.get("versions", {})
    return list(commits), versions


SECTIONS = (
    Section("cover", "", _cover),
    Section("claim", "What it comes to", _claim),
    Section("dream", "Inside the dream", _dream),
    Section("vision", "V: a frame in a few numbers", _vision),
    Section("memory", "M: what comes next", _memory),
    Section("futures", "Nine futures of one moment", _futures),
    Section("evolution", "C: how it came to act", _evolution),
    Section("temperatures", "Cheating in a dream", _temperatures),
    Section("steering", "Why it acted", _steering),
    Section("map", "A map to dream on from", _map),
    Section("quiz", "Real or dream?", _map),
    Section("results", "Results", _results),
    Section("costs", "What it took", _costs),
    Section("redo", "How to make it anew", _redo),
)


def _missing(why: object) -> str:
    return f'<p class="missing">{escape(str(why))}</p>'


def _curves(label: str, x: list[float | None], curve: Curve, titles: tuple[str, str]) -> str:
    steps = [float(value or 0) for value in x]
    if len(steps) < 2:
        training, held_out = (curve[data][0] or 0.0 for data in ("training", "held_out"))
        return (f'<p class="quiet">Measured once, at {titles[0]} {steps[0]:g}: {titles[1]}, is '
                f"{training:.4g} on training and {held_out:.4g} on held-out data.</p>")
    values = sorted(value for value in (*curve["training"], *curve["held_out"])
                    if value is not None)
    # The first values are far above all others: most of the height is for what comes after.
    low, high = values[0], values[min(len(values) - 1, int(0.9 * len(values)))]
    high += 0.3 * (high - low) or 1.0
    plot = svg.Plot(label, (min(0.0, *steps), max(steps[-1], 1.0)), (low, high), titles)
    plot.line(zip(steps, curve["training"], strict=True), "agent", "training")
    plot.line(zip(steps, curve["held_out"], strict=True), "other", "held out")
    return plot.svg()


def _cells(row: Summary) -> tuple[str, ...]:
    low, high = row["ci95"]
    return (str(row["episodes"]), *(svg.number(round(value, 1))
                                    for value in (row["mean"], row["std"])),
            f"{svg.number(round(low, 1))} to {svg.number(round(high, 1))}",
            *(svg.number(round(value, 1)) for value in (row["min"], row["max"])))


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A table whose first two columns are words."""
    cells = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "".join("<tr>" + f'<th scope="row">{escape(row[0])}</th>'
                   + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:]) + "</tr>"
                   for row in rows)
    return (f'<div class="scroll" tabindex="0" role="region" aria-label="table"><table><thead><tr>'
            f"{cells}</tr></thead><tbody>{body}</tbody></table></div>")
