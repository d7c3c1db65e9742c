"""A run's config: its sections together, read from YAML files and the command line.

The defaults are the paper's CarRacing settings (the released code's, where the two differ);
a YAML file names what a run changes, and may start from another with ``base: other.yaml``.
Unknown keys, wrong types and values out of range are errors that name the key, the value and
what is allowed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from worldmodels_repro.errors import UserError, did_you_mean, first_line
from worldmodels_repro.presets import find_config
from worldmodels_repro.sections import (
    CLIMBING,
    SPEED,
    Classify,
    Controller,
    Evaluate,
    Evolve,
    Forward,
    Frames,
    GameName,
    Learn,
    Memory,
    Ppo,
    Pretrain,
    Rollouts,
    Section,
    TrackerName,
    Vae,
)


class Config(Section):
    """A whole run."""

    game: GameName = "car_racing"
    """The world to learn: car_racing, take_cover, pong, cube_crash; cart_pole, acrobot, pendulum,
    lunar_lander, lunar_lander_continuous, which have a state, and so have detector, _onward,
    _random, _raw and _joint (docs/detector.md); or your own Game at path/to/file.py:NAME. With
    @n behind it every action is done n times, and a step is so many of the game's."""
    seed: Annotated[int, Field(ge=0)] = 1
    """The run's seed; every other one is derived from it."""
    skip_bad_files: bool = Field(default=False, json_schema_extra=SPEED)
    """Go on without an episode whose file can't be read (False: stop and name it)."""
    remote: str | None = None
    """s3://bucket/prefix to mirror the run folder to (None: nowhere)."""
    trackers: list[TrackerName] = Field(default=["tensorboard"], json_schema_extra=SPEED)
    """Who is told how training goes, beside the CSVs: tensorboard, wandb, mlflow, or one of your
    own, path/to/file.py:NAME."""
    passes: list[dict[str, Any]] = Field(default=[])
    """A recipe of several runs, for ``worldmodels all``: what each one changes of all the rest.
    Each after the first goes on from the one before: its episodes, V, M and C."""
    rollouts: Rollouts = Rollouts()
    vae: Vae = Vae()
    memory: Memory = Memory()
    forward: Forward = Forward()
    frames: Frames = Frames()
    pretrain: Pretrain = Pretrain()
    classify: Classify = Classify()
    controller: Controller = Controller()
    evolve: Evolve = Evolve()
    ppo: Ppo = Ppo()
    learn: Learn = Learn()
    evaluate: Evaluate = Evaluate()

    @model_validator(mode="after")
    def _trackers_differ(self) -> Config:
        if len(set(self.trackers)) != len(self.trackers):
            raise ValueError("trackers takes each name once")
        return self

    @model_validator(mode="after")
    def _what_m_needs_was_made(self) -> Config:
        if self.memory.mirror and not self.vae.mirror:
            raise ValueError("memory.mirror needs latents of mirrored frames, which only a V that "
                             "has seen such gives: set vae.mirror=true, or memory.mirror=false")
        if self.evolve.dropout and not self.memory.dropout:
            raise ValueError("evolve.dropout leaves out what M has learnt to do without: set "
                             "memory.dropout too and train M anew, or evolve.dropout=0")
        return self

    @model_validator(mode="after")
    def _fresh_episodes_are_played(self) -> Config:
        rollouts = self.rollouts
        if self.forward.fresh is not None and (rollouts.keep or rollouts.recorded
                                               or not any(rollouts.policies.values())):
            raise ValueError("forward.fresh is of episodes that are played: ask for some in "
                             "rollouts.policies, and set rollouts.keep=null and "
                             "rollouts.recorded=null")
        return self

    @model_validator(mode="after")
    def _dreams_mean_something(self) -> Config:
        if "dream" in self.evolve.worlds or self.evolve.sift > 1:
            if not (self.memory.done or self.memory.reward):
                raise ValueError("to evolve or sift in a dream, M needs an ending or a reward to "
                                 "dream of: set memory.done=true or memory.reward=true, and "
                                 "train it anew")
            if self.evolve.untrained_memory:
                raise ValueError("evolve.untrained_memory leaves nothing to dream of: set it to "
                                 "false, or evolve.world=real")
        if self.evolve.drawn_endings and not self.memory.done:
            raise ValueError("evolve.drawn_endings does nothing where M has learnt no endings: set "
                             "memory.done=true, and train M anew, or evolve.drawn_endings=false")
        if self.evolve.untrained_memory and self.controller.inputs == ("z",):
            raise ValueError("evolve.untrained_memory does nothing where C sees nothing of M: set "
                             "it to false, or have h or c in controller.inputs")
        return self

    @model_validator(mode="after")
    def _learners_have_what_they_need(self) -> Config:
        by, learn = self.controller.by, self.learn
        if not self.controller.sees_v and "dream" in self.evolve.worlds:
            what = "a game's own state is" if self.controller.inputs == ("o",) else "frames are"
            raise ValueError(f"{what} not in M's dream: set evolve.world=real, or "
                             "controller.inputs=[z,h]")
        if self.controller.mirror and ("dream" in self.evolve.worlds or self.evolve.sift > 1):
            raise ValueError("M's dream has no picture to mirror: set controller.mirror=false, or "
                             "evolve.world=real and evolve.sift=1")
        if "forward" in self.evolve.worlds:
            if self.controller.inputs == ("o",):
                raise ValueError("a game's own state is not in frames that a network predicts: set "
                                 "evolve.world=real, or controller.inputs to [f] or [z,h]")
            if not self.forward.outcomes:
                raise ValueError("to evolve in frames that a network predicts, it needs rewards "
                                 "and endings: set forward.outcomes=true, and train it anew")
        if self.controller.inputs == ("o",) and self.evaluate.changed:
            raise ValueError("evaluate.changed is of what V sees, and C sees the game's own state: "
                             "set evaluate.changed=null")
        if self.controller.stage == "learn" and self.controller.hidden:
            raise ValueError("controller.hidden is of a C that evolves: set learn.layers in its "
                             "place, and controller.hidden=0")
        evolve = self.evolve
        if by == "ppo" and (evolve.sift > 1 or evolve.start_spread or evolve.worst < 1):
            raise ValueError("evolve.sift, evolve.start_spread and evolve.worst are of CMA-ES's "
                             "candidates: leave them out, or set controller.by=cma_es")
        if by in CLIMBING and (evolve.sift > 1 or evolve.diagonal or evolve.population % 2):
            raise ValueError(f"{by} draws candidates in pairs, none of which can be sifted out: "
                             "set an even evolve.population, evolve.sift=1 and "
                             "evolve.diagonal=false, or controller.by=cma_es")
        rate = type(evolve).model_fields["learning_rate"].default
        if by not in CLIMBING and evolve.learning_rate != rate:
            raise ValueError("evolve.learning_rate is open_es's and pgpe's: set controller.by to "
                             f"one of them, or evolve.learning_rate={rate}")
        if by == "td3" and (learn.dueling or learn.softmax is not None):
            raise ValueError("learn.dueling and learn.softmax are DQN's: leave them out, or set "
                             "controller.by=dqn")
        if learn.start is not None and by != "dqn":
            raise ValueError("learn.start is DQN's: set learn.start=null, or controller.by=dqn")
        if learn.frozen and (learn.start is None or self.controller.classes in (None, "frozen")):
            raise ValueError("learn.frozen leaves classes alone to learn: set learn.start to the "
                             "run whose C moves and controller.classes to fresh or tuned, or "
                             "learn.frozen=false")
        if by == "td3" and learn.alpha:
            raise ValueError("TD3 draws uniformly from its memory: set learn.alpha=0.0, or "
                             "controller.by=dqn")
        return self

    @model_validator(mode="after")
    def _frames_are_seen_by_something(self) -> Config:
        controller, learn, networks = self.controller, self.learn, self.pretrain.networks
        if controller.encoder != "fresh" and "autoencoder" not in networks:
            raise ValueError(f"controller.encoder={controller.encoder} is what an autoencoder has "
                             "learnt: have it in pretrain.networks, or set "
                             "controller.encoder=fresh")
        if learn.next != "none":
            if controller.by != "td3":
                raise ValueError("learn.next is of TD3's critics: set learn.next=none, or "
                                 "controller.by=td3")
            if "transition" not in networks:
                raise ValueError("learn.next is told by a transition network: have transition in "
                                 "pretrain.networks, or set learn.next=none")
            if controller.sees_frames or controller.inputs != (self.pretrain.sees,):
                raise ValueError("learn.next is of what C sees: set controller.inputs and "
                                 "pretrain.sees to o, or both to f with controller.encoder=frozen")
        if networks and self.frames.skip > 1:
            raise ValueError("pretrain learns from each step of the game: set frames.skip=1")
        if controller.sees_frames and learn.omega is not None:
            raise ValueError("learn.omega would keep frames of all times: set learn.omega=null, or "
                             "controller.inputs to what is not [f]")
        if controller.sees_frames and learn.steps > 10_000_000:
            raise ValueError("a learner that sees frames counts them up to 16 million: set "
                             "learn.steps=10000000 or less")
        return self

    @property
    def generation_episodes(self) -> int:
        """Episodes of a generation of the stage evolve."""
        return (self.ppo.episodes if self.controller.by == "ppo"
                else self.evolve.population * self.evolve.rollouts)

    def plain(self) -> dict[str, Any]:
        """The resolved settings as nested dictionaries of plain values."""
        return self.model_dump(mode="json")


def load_config(path: str | Path, overrides: list[str] | None = None) -> Config:
    """Read a config (and its bases), apply ``a.b=c`` overrides, check everything.

    Args:
        path: a file, or the name of a config that comes along.
        overrides: settings in place of the file's.

    Raises:
        UserError: naming the key, the value and what is allowed.
    """
    values = _read_yaml(find_config(path))
    for override in overrides or []:
        key, equals, text = override.partition("=")
        if not equals or not key:
            raise UserError(f"--set {override}: write it as section.key=value")
        _set(values, key.strip().split("."), parse(text, f"--set {override}"), override)
    return check_config(values, str(path))


def check_config(values: dict[str, Any], source: str) -> Config:
    """Turn nested dictionaries into a checked :class:`Config`.

    Raises:
        UserError: naming the key, the value and what is allowed.
    """
    try:
        # Strict JSON mode: a list is a tuple's only spelling, everything else keeps its type.
        return Config.model_validate_json(_json(values, source))
    except ValidationError as error:
        other = ("; another version made this run: update this project if that one is newer, "
                 "else take the key out of the file (CHANGELOG.md tells which are gone)"
                 if Path(source).name == "config.yaml" and
                 error.errors()[0]["type"] == "extra_forbidden" else "")
        raise UserError(f"{source}: {_explain(error)}{other}") from None


def _json(values: dict[str, Any], source: str) -> str:
    import json

    try:
        return json.dumps(values)
    except (TypeError, ValueError, RecursionError):
        raise UserError(f"{source}: only numbers, texts, true/false, null, lists and mappings "
                        "can stand in a config") from None


def _read_yaml(path: Path, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    if path.resolve() in seen:
        raise UserError(f"{path}: its bases go round in a circle; take one 'base:' out")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, ValueError):
        raise UserError(f"{path} can't be read as a config: name a YAML file") from None
    values = parse(text, str(path))
    if values is None:
        values = {}
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise UserError(f"{path}: a config is a mapping, e.g. 'seed: 1'")
    base = values.pop("base", None)
    if base is None:
        return values
    if not isinstance(base, str):
        raise UserError(f"{path}: base takes a file name, not {base!r}")
    beside = path.parent / base
    below = beside if beside.exists() else find_config(base)
    return _merge(_read_yaml(below, (*seen, path.resolve())), values)


def parse(text: str, source: str) -> Any:
    """YAML as plain values.

    Raises:
        UserError: it is none, said of ``source``.
    """
    try:
        return YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError, RecursionError, TypeError, AttributeError, KeyError) as error:
        raise UserError(f"{source} is not valid YAML: {first_line(error)}") from None


def _merge(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    """``top`` over ``base``, section by section; a mapping of policies is replaced whole."""
    merged = dict(base)
    for key, value in top.items():
        below = merged.get(key)
        nested = isinstance(value, dict) and isinstance(below, dict) and key != "policies"
        merged[key] = _merge(below, value) if nested else value  # type: ignore[arg-type]
    return merged


def _set(values: dict[str, Any], keys: list[str], value: Any, override: str) -> None:
    for key in keys[:-1]:
        values = values.setdefault(key, {})
        if not isinstance(values, dict):
            raise UserError(f"--set {override}: {key} is a value, not a section")
    values[keys[-1]] = value


def _explain(error: ValidationError) -> str:
    """The first complaint, in one line; the keys that do exist where one does not."""
    first = error.errors()[0]
    place = [str(part) for part in first["loc"] if part != "[key]"]
    key = ".".join(place)
    if first["type"] == "extra_forbidden":
        section: Any = Config
        for part in place[:-1]:
            section = section.model_fields[part].annotation
        known = ", ".join(section.model_fields)
        hint = did_you_mean(place[-1], section.model_fields) or ";"
        return f"unknown key {key}{hint} known here: {known}"
    message = str(first["msg"]).removeprefix("Value error, ")
    if not key or (first["type"] == "value_error" and key in _sections()):
        return message
    if first["type"] == "value_error":
        return f"{key}: {message}"
    return f"{key}: {first['input']!r} is not allowed: {message[0].lower()}{message[1:]}"


def _sections() -> set[str]:
    return {name for name, field in Config.model_fields.items()
            if isinstance(field.annotation, type) and issubclass(field.annotation, Section)}
