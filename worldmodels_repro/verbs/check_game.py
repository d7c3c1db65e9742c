"""``worldmodels check-game``: a game of a user's own, played at random before hours are spent."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from worldmodels_repro.verbs import numbers

if TYPE_CHECKING:
    from worldmodels_repro.envs.game import Game
    from worldmodels_repro.truth.game import Episode, Findings

PATIENCE = 40  # steps without a gain after which the quick preset gives an episode up
QUICK_STEPS, QUICK_EPISODES = 700, 30 * 32 * 4  # of the quick preset's evolution
ENOUGH = 20_000  # frames for V
COLLECTED = 360  # episodes of the quick preset, of 500 steps at most


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare which game, and how long it is played."""
    parser.add_argument("game", metavar="FILE", help="my_game.py (its GAME), or my_game.py:NAME")
    parser.add_argument("--episodes", type=numbers.count, default=4, metavar="N",
                        help="of each random policy, at most (default: 4)")
    parser.add_argument("--seconds", type=numbers.count, default=60, metavar="N",
                        help="to play for, at most (default: 60)")
    parser.add_argument("--hangs", type=numbers.count, default=60, metavar="N",
                        help="seconds after which a call of the game hangs (default: 60)")
    parser.add_argument("--png", type=Path, metavar="FILE", help="what V sees beside the original "
                        "(default: beside the game's file, my_game.png)")


def run(game: str, episodes: int, seconds: int, hangs: int, png: Path | None) -> int:
    """Play, measure, draw and say; returns 0 when nothing is wrong, 1 otherwise.

    Args:
        game: its file, or ``path/to/file.py:NAME``.
        episodes: of each policy, at most.
        seconds: in which they are to be played.
        hangs: seconds that a single call may take.
        png: where the picture goes (None: beside the file).

    Raises:
        UserError: there is no such game.
    """
    from worldmodels_repro.envs.registry import game_named
    from worldmodels_repro.truth.game import inspect
    from worldmodels_repro.watch.sheet import write_sheet

    spec = f"{game}:GAME" if game.endswith(".py") else game
    found = inspect(spec, episodes, seconds, hangs)
    remarks: list[str] = []
    if found.speed:
        row = game_named(spec)
        picture = png or Path(f"{spec.rpartition(':')[0].removesuffix('.py') or row.name}.png")
        write_sheet(picture, found.moments)
        _print_what_was_seen(row, found, picture)
        remarks = _remarks(row, found)
    for remark in remarks:
        print(f"NOTE      {remark}")
    for problem in found.problems:
        print(f"PROBLEM   {spec}: {problem}")
    print("nothing is wrong" if not found.problems else f"{len(found.problems)} to mend")
    if not found.problems:
        print(f"next      {_command(spec, row, found)}")
    return 1 if found.problems else 0


def _print_what_was_seen(game: Game, found: Findings, picture: Path) -> None:
    steps = QUICK_EPISODES * min(QUICK_STEPS, game.max_steps)
    print(f"game      {game.name}: {game.judge_id}, {game.actions} numbers an action, at most "
          f"{game.max_steps} steps\n"
          f"speed     {found.speed:,.0f} steps/s on one core, {1000 * found.reset:.0f} ms a reset: "
          f"quick's evolution is at most {steps / found.speed / 60:,.0f} core-minutes of it")
    for name, played in found.played.items():
        if played:
            scores = [episode.score for episode in played]
            print(f"{name:10s}{len(played)} episodes of {_mean_steps(played):.0f} steps, score "
                  f"{sum(scores) / len(scores):.1f} ({min(scores):.1f} to {max(scores):.1f}), "
                  f"{sum(episode.ended for episode in played)} ended by themselves, a gain in "
                  f"{_share(played):.1f} % of the steps"
                  + ("" if played[-1].whole else "; time was up in the last one: give more with "
                     "--seconds"))
    moved = [pixels for episode in found.episodes for pixels in episode.moved]
    print(f"frames    {100 * sum(map(bool, moved)) / max(len(moved), 1):.0f} % of the steps change "
          f"what V sees, {sum(moved) / max(len(moved), 1):.0f} of its 4096 pixels on average\n"
          f"picture   {picture}: above what the game renders, below what V sees")


def _mean_steps(played: list[Episode]) -> float:
    return sum(episode.steps for episode in played) / len(played)


def _share(played: list[Episode]) -> float:
    return (100 * sum(len(episode.gains) for episode in played)
            / max(sum(episode.steps for episode in played), 1))


def _remarks(game: Game, found: Findings) -> list[str]:
    remarks = []
    if not any(episode.ended for episode in found.episodes):
        remarks.append("no episode ended by itself: M can learn no endings (memory.done), and a "
                       "dream would have to live on rewards (memory.reward); right for a game that "
                       "lasts a fixed time, else look at `terminated`")
    if not any(episode.gains for episode in found.episodes):
        remarks.append("no step had a reward above 0: set evolve.patience=0, or every episode is "
                       "given up")
    if _mean_steps(found.episodes) * COLLECTED < ENOUGH:
        remarks.append("episodes are short: quick's 360 of them would give V "
                       f"{_mean_steps(found.episodes) * COLLECTED:,.0f} frames; the command below "
                       "collects more")
    if found.reset > 0.05 and found.reset * found.speed > 0.5 * _mean_steps(found.episodes):
        remarks.append("resets take as long as the play: make fewer, longer episodes if you can")
    return remarks


def _command(spec: str, game: Game, found: Findings) -> str:
    """The quick preset with what this game asks for."""
    words = [f"worldmodels all quick --set game={spec}"]
    if max(episode.drought for episode in found.episodes) >= PATIENCE:
        words.append("--set evolve.patience=0")
    if (short := _mean_steps(found.episodes)) * COLLECTED < ENOUGH:
        words.append(f"--set 'rollouts.policies={{held: {round(ENOUGH / short, -2):.0f}}}'")
    return " ".join([*words, f"--run logs/{game.name}"])
