"""A game of a user's own: its row, written from what an environment's spaces say.

What is written is meant to be read and changed: plain functions and one :class:`envs.game.Game`.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

import worldmodels_repro.envs.classic  # noqa: F401 - what is drawn needs no display
from worldmodels_repro.errors import UserError, first_line
from worldmodels_repro.plugins import is_plugin, load

SMALLEST_PICTURE = 16  # pixels a side: what is smaller is a map of codes, as MiniGrid's views are
PACKAGES = {"ALE/": ("ale_py", "ale-py"), "MiniGrid-": ("minigrid", "minigrid"),
            "BabyAI-": ("minigrid", "minigrid")}
"""By how an id begins: the module that registers it, and the package that brings it."""
MOST_STEPS = 1000  # of an episode, where the environment names none
KEYS = {"UP": "up", "DOWN": "down", "LEFT": "left", "RIGHT": "right", "FIRE": "space"}


@dataclass(frozen=True)
class Source:
    """Where an environment comes from.

    Attributes:
        judge_id: what ``gymnasium.make`` calls it.
        lines: of Python, which make that so; they are run in every process.
        imports: the modules that those lines need.
    """

    judge_id: str
    lines: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()


def source_named(name: str, file: Path) -> Source:
    """An id of gymnasium's, ``module:id``, ``module:Class`` or ``path/to/file.py:Class``.

    The environment is registered in this process too.

    Args:
        name: one of these.
        file: where the row will be: a class's file is found from there.

    Raises:
        UserError: there is no such environment.
    """
    if is_plugin(name):
        path, _, attribute = name.rpartition(":")
        found: type = load(name, "environment", type)
        judge_id = f"{_word(file.stem)}/{attribute}-v0"
        own, here = Path(path).resolve(), file.resolve().parent
        where = (f'f"{{Path(__file__).parent}}/{own.relative_to(here)}:{attribute}"'
                 if own.is_relative_to(here) else f'"{own}:{attribute}"')
        gymnasium.register(id=judge_id, entry_point=found)  # type: ignore[arg-type]  # takes it too
        return Source(judge_id, (
            f'{attribute} = load({where}, "environment", type)',
            f'gymnasium.register(id="{judge_id}", entry_point={attribute})'),
            ("pathlib:Path", "worldmodels_repro.plugins:load"))
    module, colon, attribute = name.rpartition(":")
    if not colon:
        for start, (needed, package) in PACKAGES.items():
            if name.startswith(start):
                return _registered(needed, name, package)
        return Source(name)
    try:
        held = getattr(importlib.import_module(module), attribute, None)
    except ImportError as error:
        raise UserError(f"--env {name}: {module} can't be imported ({error}): install what brings "
                        "it, or name a file, path/to/file.py:Class") from None
    if held is None:
        return _registered(module, attribute, module)
    judge_id = f"{_word(file.stem)}/{attribute}-v0"
    gymnasium.register(id=judge_id, entry_point=held)
    return Source(judge_id, (f'gymnasium.register(id="{judge_id}", '
                             f'entry_point="{module}:{attribute}")',))


def _registered(module: str, judge_id: str, package: str) -> Source:
    try:
        importlib.import_module(module)
    except ImportError:
        raise UserError(f"{judge_id} needs {module}: type pip install {package}") from None
    return Source(judge_id, (f"gymnasium.register_envs({module})",), (module,))


@dataclass(frozen=True)
class Seeing:
    """What becomes V's frame: lines of ``see``, and what was found, in words.

    Attributes:
        lines: of Python, from ``observation`` (or ``env``) to ``picture``.
        drawn: whether the picture is what the environment renders.
        state: the numbers of the observation, where that is the game's state.
        found: in words.
        shape: of the picture.
    """

    lines: list[str]
    drawn: bool
    found: str
    shape: tuple[int, ...]
    state: int = 0


def _is_picture(space: spaces.Space[Any]) -> bool:
    return isinstance(space, spaces.Box) and _as_picture(space)[1] is not None


def _as_picture(space: spaces.Box) -> tuple[list[str], tuple[int, int] | None]:
    """Lines that make a colour picture of an observation, and its height and width; or None."""
    shape, lines = space.shape, []
    if len(shape) == 4:
        lines, shape = ["picture = picture[-1]  # the latest of several"], shape[1:]
    if len(shape) == 3 and shape[-1] not in (1, 3, 4):
        if shape[0] in (1, 3):
            lines.append("picture = np.moveaxis(picture, 0, -1)  # colours last")
            shape = (*shape[1:], shape[0])
        elif shape[0] <= 8:
            lines.append("picture = picture[-1]  # the latest of several")
            shape = shape[1:]
    if len(shape) == 2:
        lines.append("picture = picture[..., None]")
        shape = (*shape, 1)
    if len(shape) != 3 or shape[-1] not in (1, 3, 4) or min(shape[:2]) < SMALLEST_PICTURE:
        return [], None
    if space.dtype != np.uint8 and float(space.high.max()) <= 1.0:
        lines.append("picture = (255 * picture).astype(np.uint8)")
    if shape[-1] == 1:
        lines.append("picture = np.repeat(picture, 3, axis=-1)  # grey")
    if shape[-1] == 4:
        lines.append("picture = picture[..., :3]  # without what is beside the colours")
    return lines, (int(shape[0]), int(shape[1]))


def seeing(env: gymnasium.Env[Any, Any]) -> Seeing:
    """How V is to see an environment: its picture, one of several, or what it renders.

    Raises:
        UserError: it shows none, and renders none.
    """
    space = env.observation_space
    if isinstance(space, spaces.Box) and _is_picture(space):
        lines, size = _as_picture(space)
        assert size is not None
        return Seeing(["picture = observation", *lines], False,
                      f"the observation is a picture, {space.shape} {space.dtype}", size)
    parts: dict[str, Any] = dict(space.spaces) if isinstance(space, spaces.Dict) else {}
    pictures = {key: part for key, part in parts.items() if _is_picture(part)}
    if pictures:
        key = max(pictures, key=lambda name: int(np.prod(pictures[name].shape)))
        lines, size = _as_picture(pictures[key])
        assert size is not None
        others = ", ".join(name for name in parts if name != key)
        return Seeing([f"picture = observation[{key!r}]".replace("'", '"'), *lines], False,
                      f"of the observation's parts {key!r} is a picture, {pictures[key].shape}; "
                      f"V will not see {others or 'nothing else'}", size)
    named = f" of {', '.join(parts)}" if parts else f" {space.shape}" if space.shape else ""
    what = f"the observation is no picture ({type(space).__name__}{named})"
    if "rgb_array" not in env.metadata.get("render_modes", []):
        raise UserError(f"{what}, and the environment renders none: it needs a render mode "
                        "rgb_array, from which frames can be made")
    env.reset(seed=1)
    rendered = np.asarray(env.render())
    state = space.shape[0] if isinstance(space, spaces.Box) and len(space.shape) == 1 else 0
    return Seeing(["picture = np.asarray(env.render())"], True,
                  f"{what}: frames are what it renders, {rendered.shape}", rendered.shape[:2],
                  state)


@dataclass(frozen=True)
class Acting:
    """What C's numbers mean: lines of ``act``, fields of the row, and what was found, in words."""

    lines: list[str]
    fields: list[str]
    found: str
    names: Sequence[str]
    imports: list[str] = field(default_factory=list)
    gives: str = "np.ndarray"


def acting(env: gymnasium.Env[Any, Any]) -> Acting:
    """How C's numbers become an environment's actions.

    Raises:
        UserError: its actions are of a kind that C can't give.
    """
    space = env.action_space
    if isinstance(space, spaces.Discrete):
        n, start = int(space.n), int(space.start)
        meanings: Callable[[], list[str]] | None = getattr(env.unwrapped, "get_action_meanings",
                                                           None)
        names = meanings() if meanings is not None else []
        names = [*names] if len(names) == n else [f"choice {k + start}" for k in range(n)]
        plus = f" + {start}" if start else ""
        return Acting([f'"""C\'s numbers, ({n},), one for each choice: the largest chooses."""',
                       f"return int(np.argmax(action)){plus}"],
                      [f"**of_choices({n}),  # {', '.join(names)}"],
                      f"{n} choices: {', '.join(names)}", names, ["of_choices"], "int")
    if isinstance(space, spaces.MultiDiscrete):
        counts = tuple(map(int, np.ravel(space.nvec)))
        shaped = "" if space.nvec.ndim == 1 else f".reshape({space.nvec.shape})"
        starts = np.ravel(space.start).tolist()
        plus = f" + {starts}" if any(starts) else ""
        return Acting(['"""The largest number of each part of an action chooses."""',
                       f"return (largest_of_each(action, {counts}){plus}){shaped}"
                       if plus or shaped else f"return largest_of_each(action, {counts})"],
                      [f"low=np.full({sum(counts)}, -1.0, np.float32), "
                       f"high=np.ones({sum(counts)}, np.float32),",
                       f"taken=lambda actions: one_of_each(actions, {counts}),"],
                      f"{len(counts)} choices at once, of {', '.join(map(str, counts))}",
                      [f"part {i}, choice {k}" for i, n in enumerate(counts) for k in range(n)],
                      ["largest_of_each", "one_of_each"])
    if isinstance(space, spaces.MultiBinary):
        n = int(np.prod(space.shape))
        shaped = "" if len(space.shape) == 1 else f".reshape({space.shape})"
        return Acting(['"""Each of C\'s numbers is a button: pressed where it is above 0."""',
                       f"return (action > 0).astype(np.int8){shaped}"],
                      [f"low=np.full({n}, -1.0, np.float32), high=np.ones({n}, np.float32),",
                       "taken=lambda actions: (actions > 0).astype(np.float32),"],
                      f"{n} buttons", [f"button {k}" for k in range(n)])
    if isinstance(space, spaces.Box):
        low, high = np.ravel(space.low).astype(float), np.ravel(space.high).astype(float)
        bounded = np.isfinite(low) & np.isfinite(high)
        fields = [f"low=np.array({np.where(bounded, low, -1.0).tolist()}, np.float32),",
                  f"high=np.array({np.where(bounded, high, 1.0).tolist()}, np.float32),"]
        found = f"{len(low)} number{'s' * (len(low) > 1)} in ranges"
        if not bounded.all():
            fields.append("# the environment names no bounds for some of these: -1 to 1 was taken")
            found += ", some of them without bounds: -1 to 1 was taken"
        value = "action" if len(space.shape) == 1 else f"action.reshape({space.shape})"
        if np.issubdtype(space.dtype or np.float32, np.integer):
            value = f"np.rint({value}).astype(np.{space.dtype})"
        return Acting([f'"""C\'s numbers, ({len(low)},), in the ranges below."""',
                       f"return {value}"], fields, found,
                      [f"number {k}" for k in range(len(low))])
    raise UserError(f"actions are of {space}: C gives numbers in ranges or choices; wrap the "
                    "environment into one whose actions are Box, Discrete, MultiDiscrete or "
                    "MultiBinary, and name it as path/to/file.py:Class")


def _keys(space: spaces.Space[Any], names: Sequence[str]) -> dict[str, tuple[float, ...]]:
    """What keys do: by the actions' names where these say it, else digits and arrows."""
    rows = np.eye(len(names)).tolist()
    if isinstance(space, spaces.Box):
        low, high = np.ravel(space.low), np.ravel(space.high)
        ends = [(float(np.nan_to_num(a, neginf=-1.0)), float(np.nan_to_num(b, posinf=1.0)))
                for a, b in zip(low, high, strict=True)]
        pairs = (("left", "right"), ("down", "up"))
        return {key: tuple(end if k == i else 0.0 for k in range(len(names)))
                for i, pair in enumerate(pairs[:len(names)])
                for key, end in zip(pair, ends[i], strict=True) if end}
    if any(name in KEYS for name in names):
        return {KEYS[name]: tuple(row) for name, row in zip(names, rows, strict=True)
                if name in KEYS}
    return {str(k + 1): tuple(row) for k, row in enumerate(rows[:9])}


@dataclass(frozen=True)
class Row:
    """A game's file, and what was found on the way, a line each."""

    text: str
    found: list[str]


def row(name: str, file: Path) -> Row:
    """Look at an environment, and write its row.

    Args:
        name: as for :func:`source_named`.
        file: where it will be.

    Raises:
        UserError: there is no such environment, or none that V and C can play.
    """
    source = source_named(name, file)
    env = _made(source.judge_id, name)
    try:
        seen, acted = seeing(env), acting(env)
    finally:
        env.close()
    spec = env.spec
    limit = None if spec is None else spec.max_episode_steps
    threshold = None if spec is None else spec.reward_threshold
    return Row(_text(name, file, source, seen, acted, _keys(env.action_space, acted.names),
                     limit, threshold, int(env.metadata.get("render_fps") or 30)),
               [f"sees     {seen.found}", f"acts     {acted.found}",
                f"steps    at most {limit or MOST_STEPS} an episode"
                + ("" if limit else ": the environment names no end, change max_steps"),
                f"solved   {threshold}" if threshold is not None else
                "solved   the environment does not say: 1.0 stands there, change it"])


def _made(judge_id: str, name: str) -> gymnasium.Env[Any, Any]:
    try:
        try:
            return gymnasium.make(judge_id, render_mode="rgb_array", disable_env_checker=True)
        except (TypeError, ValueError):  # no render mode at all
            return gymnasium.make(judge_id, disable_env_checker=True)
    except Exception as error:  # its own constructor may raise anything
        reason = first_line(error)
        raise UserError(f"--env {name}: gymnasium can't make it ({reason})") from None


def _word(text: str) -> str:
    return re.sub("[^a-z0-9]+", "_", text.lower()).strip("_") or "mine"


def _text(name: str, file: Path, source: Source, seen: Seeing, acted: Acting,
          keys: dict[str, tuple[float, ...]], limit: int | None, threshold: float | None,
          fps: int) -> str:
    helpers = ", ".join(sorted({"Game", "Seen", "resized", *acted.imports},
                               key=lambda helper: (helper[0].islower(), helper)))
    modules = sorted({*(m for m in source.imports if ":" not in m),
                      *(["gymnasium"] if source.lines or seen.drawn else [])})
    froms = dict(part.split(":") for part in source.imports if ":" in part)
    height, width = seen.shape[:2]
    lines = [f'"""{name} as a game of worldmodels: change what does not fit, then try it.',
             "",
             f"    worldmodels check-game {file.name}",
             f"    worldmodels all quick --set game={file.name}:GAME --run logs/{file.stem}",
             "",
             "Worker processes import this file too: what the game needs belongs in here.",
             '"""',
             ""]
    if "pathlib" in froms:
        lines += [f"from pathlib import {froms.pop('pathlib')}", ""]
    lines += [*(f"import {module}" for module in modules), "import numpy as np",
              f"from worldmodels_repro.envs.game import {helpers}",
              *(f"from {module} import {what}" for module, what in froms.items()), ""]
    lines += [*source.lines, ""] if source.lines else []
    argument = "env: gymnasium.Env" if seen.drawn else (
        "observation: dict" if "[\"" in seen.lines[0] else "observation: np.ndarray")
    lines += ["", f"def see({argument}) -> np.ndarray:",
              '    """What V sees, (64, 64, 3) uint8: each pixel is the mean over its area."""',
              *(f"    {line}" for line in seen.lines),
              f"    picture = picture[0:{height}, 0:{width}]  # rows, columns: keep what matters,",
              "    return resized(picture)  # for V has 64 x 64 pixels to see it with", "", "",
              f"def act(action: np.ndarray) -> {acted.gives}:",
              *(f"    {line}" for line in acted.lines), "", "",
              "GAME = Game(",
              f'    name="{_word(file.stem)}",',
              f'    judge_id="{source.judge_id}",']
    if seen.drawn:
        lines.append("    frames=lambda env: Seen(env, lambda observation: see(env), act),")
    else:
        lines.append("    frames=lambda env: Seen(env, see, act),")
    if seen.state:
        lines.append(f"    state={seen.state},  # numbers in the observation: C may see them in "
                     "place of V, controller.inputs=[o]")
    elif seen.drawn:
        lines.append('    settings={"render_mode": "rgb_array"},  # frames are what it renders')
    lines += [f"    {line}" for line in acted.fields]
    lines.append(f'    first_action="{acted.names[0].lower()}",')
    lines.append(f"    solved={1.0 if threshold is None else float(threshold)},"
                 "  # the score that counts as solved"
                 + (": yours to say" if threshold is None else ""))
    lines.append(f"    max_steps={limit or MOST_STEPS},  # of the longest episode that is judged")
    lines += ["    keys={  # what each adds to the action of a person who plays",
              *(f'        "{key}": {push},' for key, push in keys.items()), "    },",
              f"    fps={fps},  # steps a second for those who watch or play", ")", ""]
    return "\n".join(lines)
