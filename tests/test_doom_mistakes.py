"""What has gone wrong in other reproductions of Doom: each known mistake has its test.

1, 2, 3, 7, 8 and 9 are here; 4, 5 and 6 are a dream's (``test_dream.py``), 10 is the game's
(``test_doom.py``). Episodes are of a game that ends when its seed says.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest

from worldmodels_repro.config import load_config
from worldmodels_repro.data.sequences import Sequences
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.envs.take_cover import SCREEN, TakeCover
from worldmodels_repro.models.mdn_rnn.cell import Recurrence
from worldmodels_repro.models.mdn_rnn.forward import MdnRnn
from worldmodels_repro.models.vae.programs import Encoder
from worldmodels_repro.models.vae.vision import Vision
from worldmodels_repro.policies.agent import Controllers
from worldmodels_repro.records import ManifestLine
from worldmodels_repro.report.held_out import Mixture
from worldmodels_repro.run import Run
from worldmodels_repro.sections import Memory, Rollouts
from worldmodels_repro.stages import memory as train_memory
from worldmodels_repro.stages import rollouts
from worldmodels_repro.stages.memory import validate
from worldmodels_repro.storage import Arrays, append_json_line, load_npz, save_npz
from worldmodels_repro.worlds import real
from worldmodels_repro.worlds.agent import Body, Senses
from worldmodels_repro.worlds.dream import Dream, DreamWorld
from worldmodels_repro.worlds.episodes import play
from worldmodels_repro.worlds.frames import FramesWorld

DOOM_CONFIG = Path(__file__).parents[1] / "configs" / "doom.yaml"
RNG = np.random.default_rng(0)


# --- a game that ends when its seed says, and shows which episode and tic it is ---

class Clockwork(gymnasium.Env[Any, Any]):
    """As the judge's environment: a dictionary of a screen, +1 a tic, zeros at the end."""

    observation_space = gymnasium.spaces.Dict(
        {"screen": gymnasium.spaces.Box(0, 255, SCREEN, np.uint8)})
    action_space = gymnasium.spaces.Discrete(3)

    game = SimpleNamespace(is_running=lambda: True)  # where the judge's environment has its game

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, Any]:
        assert seed is not None
        self.life, self.tic, self.episode = seed % 1000, 0, seed // 1000
        return self._screen(), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, Any]:
        assert self.tic < self.life, "stepped beyond the episode's end"
        self.tic += 1
        return self._screen(), 1.0, self.tic == self.life, False, {}

    def _screen(self) -> dict[str, np.ndarray]:
        colors = (0, 0, 0) if self.tic == self.life else (self.episode, 1 + self.tic, 50)
        return {"screen": np.full(SCREEN, colors, np.uint8)}


@pytest.fixture
def clockwork(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(game_named("take_cover")), "make",
                        lambda self, renderer, render_mode=None: TakeCover(Clockwork()))


def _collect(folder: Path, seeds: list[int], max_steps: int = 2100,
             min_steps: int = 1) -> list[ManifestLine]:
    settings = Rollouts(policies={"held": 1}, max_steps=max_steps, min_steps=min_steps)
    gathering = rollouts.Gathering(game="take_cover", settings=settings, agents=[])
    collects = rollouts.Collects(gathering, folder)
    return [collects(rollouts.Episode("held", seed, seed)) for seed in seeds]


def test_a_file_is_one_episode_with_the_fatal_action_and_no_black_frame(
        clockwork: None, tmp_path: Path) -> None:
    """Mistakes 1, 8, 9: outcomes shifted, autoreset within an episode, zeros at the end."""
    lines = _collect(tmp_path, [7030, 8012])
    for line, (episode, life) in zip(lines, [(7, 30), (8, 12)], strict=True):
        file = load_npz(tmp_path / f"{line['episode']}.npz")
        assert (line["length"], line["return"]) == (life, life)
        assert all(len(array) == life for array in file.values())
        np.testing.assert_array_equal(np.flatnonzero(file["terminated"]), [life - 1])
        assert not file["truncated"].any()
        # frames[t] is tic t of this very episode, up to the one in which the fatal action is taken.
        np.testing.assert_array_equal(file["frames"][:, 0, 0, 0], episode)
        np.testing.assert_array_equal(file["frames"][:, 0, 0, 1], 1 + np.arange(life))


def test_an_episode_that_is_cut_is_no_death(clockwork: None, tmp_path: Path) -> None:
    line, short = _collect(tmp_path, [1500, 2020], max_steps=100, min_steps=50)
    file = load_npz(tmp_path / f"{line['episode']}.npz")
    assert len(file["frames"]) == 100
    assert not file["terminated"].any()
    np.testing.assert_array_equal(np.flatnonzero(file["truncated"]), [99])
    assert not short["kept"]
    assert not (tmp_path / f"{short['episode']}.npz").exists()


def _body(units: int = 8) -> Body:
    def array(*shape: int) -> np.ndarray:
        return (RNG.standard_normal(shape) / np.sqrt(shape[0])).astype(np.float32)

    vae = {f"encoder/{head}/{part}": array(*shape) for head in ("mu", "logvar")
           for part, shape in (("kernel", (1024, 64)), ("bias", (64,)))}
    for number, (inside, out) in enumerate([(3, 32), (32, 64), (64, 128), (128, 256)], start=1):
        vae[f"encoder/conv{number}/kernel"] = 0.3 * array(4, 4, inside, out)
        vae[f"encoder/conv{number}/bias"] = array(out)
    vae["encoder/logvar/kernel"][:] = 0.0  # sigmas of about 1
    memory = {"lstm/kernel": array(66, 4 * units), "lstm/recurrent_kernel": array(units, 4 * units),
              "lstm/bias": array(4 * units)}
    return Body(game="take_cover", vision=Vision(vae),
                memory=MdnRnn(weights=memory, z=64, done=True, restart_input=True),
                inputs=("z", "c", "h"), hidden=0, bias=False, sample_z=True, precision="f32")


def _whole(body: Body) -> MdnRnn:
    """Its M, with a mixture that says nothing."""
    assert isinstance(body.memory, MdnRnn)
    return replace(body.memory, weights=body.memory.weights | BLANK)


class _Spy:
    """Notes what V is shown and what M is fed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.frames: list[np.ndarray] = []
        self.fed: list[list[np.ndarray]] = []
        encode, step = Encoder.encode, Recurrence.step

        def noting_encode(encoder: Any, frames: np.ndarray) -> Any:
            self.frames += list(frames.copy())
            return encode(encoder, frames)

        def noting_step(memory: Any, *inputs: np.ndarray) -> None:
            self.fed.append([block.copy() for block in inputs])
            step(memory, *inputs)

        monkeypatch.setattr(Encoder, "encode", noting_encode)
        monkeypatch.setattr(Recurrence, "step", noting_step)


def test_a_world_ends_with_the_game_and_shows_no_black_frame(
        clockwork: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mistakes 8, 9, where C lives."""
    spy, body = _Spy(monkeypatch), _body()
    seeds = [1009, 2004, 3015, 4001, 5006]
    world = real.RealWorld(body, FramesWorld(game_named(body.game), 2, "fast"))
    drivers = Controllers(body, np.zeros((5, body.shape.weights), np.float32), 2)
    played = play(world, drivers, seeds, 12)
    np.testing.assert_array_equal(played.steps, [9, 4, 12, 1, 6])
    np.testing.assert_array_equal(played.returns, played.steps)
    assert min(int(frame.max()) for frame in spy.frames) > 0


def test_the_frame_after_the_end_is_the_last_one_there_was() -> None:
    """Mistake 9."""
    env = TakeCover(Clockwork())
    env.reset(seed=9003)
    before = [env.step(np.zeros(1, np.float32)) for _ in range(3)]
    assert before[-1][2]
    np.testing.assert_array_equal(before[-1][0], before[-2][0])
    assert env.render().max() > 0


# --- what M is trained on ---

def _episode(length: int, terminated: bool = True, number: int = 0) -> Arrays:
    return {"mu": np.full((length, 4), number, np.float32),
            "logvar": np.zeros((length, 4), np.float32),
            "actions": np.arange(length, dtype=np.float32)[:, None],
            "rewards": np.ones(length, np.float32),
            "terminated": np.arange(length) == (length - 1 if terminated else -1),
            "truncated": np.zeros(length, bool)}


def test_the_fatal_action_is_fed_in_the_very_step_whose_target_is_the_ending() -> None:
    """Mistakes 1, 7: an ending is 'terminated' at the fatal action's own step, not a reward."""
    sequences = Sequences([_episode(20), _episode(30), _episode(25, terminated=False)], 40, True)
    seen = 0
    for batch in [sequences.batch(16, np.random.default_rng(k)) for k in range(4)] + list(
            sequences.in_order(2, RNG)):
        inputs, targets = batch
        fed = inputs[:, :, 4][targets["done"] > 0]
        assert set(fed) <= {19.0, 29.0}, "the step of an ending holds the fatal action"
        assert not targets["next_valid"][targets["done"] > 0].any()
        # The step after an ending is another episode's first, or nothing.
        rows, steps = np.nonzero(targets["done"][:, :-1])
        after = inputs[rows, steps + 1]
        assert np.all((after[:, -1] == 1.0) | (targets["valid"][rows, steps + 1] == 0.0))
        assert targets["done"].sum() < targets["reward"].sum()
        seen += len(fed)
    assert seen > 20


def test_a_long_episodes_ending_is_seen_as_often_as_its_other_steps() -> None:
    for restart in (True, False):
        sequences = Sequences([_episode(300), _episode(300)], 50, restart)
        batches = [sequences.batch(50, np.random.default_rng(k))[1] for k in range(40)]
        share = (sum(targets["done"].sum() for targets in batches)
                 / sum(targets["valid"].sum() for targets in batches))
        assert 0.6 / 300 < share < 1.5 / 300, restart


def test_rows_run_on_from_episode_to_episode_and_m_is_told_where() -> None:
    lengths = [7, 12, 5]
    sequences = Sequences([_episode(length, number=10 * length) for length in lengths], 12, True)
    inputs, targets = sequences.batch(64, np.random.default_rng(1))
    assert targets["valid"].all()
    numbers = np.rint(inputs[:, :, :4].mean(axis=2) / 10).astype(int)  # which episode a step is of
    begins = (inputs[:, :, -1] == 1.0)
    np.testing.assert_array_equal(begins, inputs[:, :, 4] == 0.0)
    changes = inputs[:, 1:, 4] != inputs[:, :-1, 4] + 1.0
    np.testing.assert_array_equal(changes, begins[:, 1:])
    assert set(numbers.ravel()) == set(lengths)
    # Next latents are the same episode's; there is none after its last step.
    same = targets["next_valid"] > 0
    coming = np.rint(targets["z"].mean(axis=2) / 10).astype(int)
    np.testing.assert_array_equal(coming[same], numbers[same])
    assert not same[:, :-1][begins[:, 1:]].any()


def test_m_trains_on_draws_of_the_posterior() -> None:
    """Mistake 3, in training: the inputs' spread is sigma, anew in every batch."""
    sequences = Sequences([_episode(50), _episode(50)], 50, True)
    first, second = (sequences.batch(8, np.random.default_rng(k))[0][:, :, :4] for k in (0, 1))
    assert abs(first.std() - 1.0) < 0.1  # mu is 0 everywhere, sigma is 1
    assert np.abs(first - second).min() > 0


def test_m_is_fed_the_draw_that_c_saw_and_the_restart_flag_once(
        monkeypatch: pytest.MonkeyPatch) -> None:
    """Mistake 3, in acting."""
    spy, body = _Spy(monkeypatch), _body()
    senses = Senses(body, 2)
    frames = RNG.integers(1, 256, (2, 64, 64, 3), np.uint8)
    flags = []
    for t in range(5):
        if t == 3:
            senses.forget(1)
        noise = RNG.standard_normal((2, 64)).astype(np.float32)
        seen = senses.see(frames, noise).copy()
        if t in (0, 3):
            assert not seen[1, 64:].any()  # c_0 = h_0 = 0
        senses.remember(np.full((2, 1), 0.5, np.float32))
        z, actions, flag = spy.fed[-1]
        np.testing.assert_array_equal(z, seen[:, :64])
        np.testing.assert_array_equal(actions, 0.5)
        flags.append(flag[:, 0].tolist())
    assert flags == [[1, 1], [0, 0], [0, 0], [0, 1], [0, 0]]
    assert np.abs(spy.fed[0][0] - spy.fed[1][0]).min() > 0  # the same frame, another draw


# --- what M is told of an action (``memory.taken_actions``) ---

BLANK = {"mdn/kernel": np.zeros((8, 961), np.float32), "mdn/bias": np.zeros(961, np.float32)}
TOLD = pytest.mark.parametrize(("taken", "told"), [(False, [0.5, -0.2]), (True, [1.0, 0.0])])


@TOLD
def test_m_is_told_of_actions_in_the_game(taken: bool, told: list[float],
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    spy = _Spy(monkeypatch)
    Senses(replace(_body(), taken_actions=taken), 2).remember(np.array([[0.5], [-0.2]], np.float32))
    np.testing.assert_array_equal(spy.fed[0][1][:, 0], np.array(told, np.float32))


@TOLD
def test_m_is_told_of_actions_in_its_dream(taken: bool, told: list[float],
                                           monkeypatch: pytest.MonkeyPatch) -> None:
    starts = {name: np.zeros((1, 64), np.float32) for name in ("mu", "logvar")}
    world = DreamWorld(Dream(game="take_cover", memory=_whole(_body()), starts=starts,
                             inputs=("z", "c", "h"), temperature=1.0, precision="f32",
                             taken_actions=taken), 2)
    for slot in range(2):
        world.reset(slot, slot)
    heard: list[np.ndarray] = []
    monkeypatch.setattr(world._mind, "step", lambda actions, *draws: heard.append(actions))
    world.advance(np.array([[0.5], [-0.2]], np.float32))
    np.testing.assert_array_equal(heard[0][:, 0], np.array(told, np.float32))


@TOLD
def test_m_is_told_of_actions_in_its_figures(taken: bool, told: list[float],
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    spy = _Spy(monkeypatch)
    memory = Mixture(_whole(_body()), game_named("take_cover").told(taken))
    for action in (0.5, -0.2):
        memory.step(np.zeros(64, np.float32), np.array([action], np.float32))
    np.testing.assert_array_equal([float(blocks[1][0, 0]) for blocks in spy.fed],
                                  np.array(told, np.float32))


@TOLD
def test_m_is_told_of_actions_in_training(taken: bool, told: list[float], tmp_path: Path,
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config(DOOM_CONFIG, [f"memory.taken_actions={taken}", "memory.start=null",
                                       "memory.mirror=false", "memory.validation=0.5"])
    run = Run(tmp_path / "run", config)
    for stage in ("rollouts", "vae", "latents"):
        run.begin(stage)
        run.finish(stage)
    for number in range(2):
        name = f"held-{number:06d}"
        append_json_line(run.folder("rollouts") / "manifest.jsonl",
                         {"episode": name, "seed": number, "policy": "held", "length": 2,
                          "return": 2.0, "kept": True})
        save_npz(run.folder("latents") / f"{name}.npz",
                 _episode(2) | {"actions": np.array([[0.5], [-0.2]], np.float32)})

    def tell(episodes: list[Arrays], *settings: Any) -> None:
        raise InterruptedError(episodes[0]["actions"][:, 0])  # no need to train

    monkeypatch.setattr(train_memory, "Sequences", tell)
    with pytest.raises(InterruptedError) as heard:
        train_memory.run(run)
    np.testing.assert_array_equal(heard.value.args[0], np.array(told, np.float32))


def test_endings_weigh_ten_times() -> None:
    """Mistake 2: one ending among 200 steps must not drown."""
    from worldmodels_repro.models.mdn_rnn.mdn_rnn import compiled_mdn_rnn

    def done_loss(weight: float) -> float:
        memory = compiled_mdn_rnn(Memory(units=4, done=True, done_weight=weight,
                                         restart_input=True), 2, 1, 0)
        memory.mixture.set_weights([np.zeros(shape.shape) for shape in memory.mixture.weights])
        ones = np.ones((1, 200), np.float32)
        targets = {"z": np.zeros((1, 200, 2), np.float32), "valid": ones, "next_valid": ones,
                   "done": np.eye(200, dtype=np.float32)[-1:], "reward": ones}
        inputs = np.zeros((1, 200, 4), np.float32)
        memory.compute_loss(inputs, targets, memory(inputs))
        return float(memory.metrics_by_name["done_loss"].result())

    assert load_config(DOOM_CONFIG).memory.done_weight == 10.0
    assert done_loss(10.0) == pytest.approx(np.log(2) * (199 + 10) / 200, rel=1e-5)
    assert done_loss(1.0) == pytest.approx(np.log(2), rel=1e-5)


class _KnownMemory:
    """M whose ending logit is an input, as ``validate`` asks it."""

    def test_on_batch(self, inputs: Any, targets: Any, return_dict: bool) -> dict[str, float]:
        return {"loss": float(inputs[0, 0, 1])}

    def predict_on_batch(self, inputs: np.ndarray) -> np.ndarray:
        return inputs

    def split(self, outputs: np.ndarray) -> tuple[Any, ...]:
        return None, None, None, outputs[:, :, 0], None


def test_recall_and_precision_count_endings_at_their_very_step() -> None:
    def batch(logits: list[float], done: list[int], valid: list[int], loss: float) -> Any:
        inputs = np.stack([np.array(logits), np.full(len(logits), loss)], axis=1)[None]
        return inputs, {"done": np.array([done], float), "valid": np.array([valid], float)}

    row = validate(_KnownMemory(), iter([
        batch([-1, 2, -1, -3, 9], [0, 1, 0, 0, 0], [1, 1, 1, 1, 0], 1.0),  # a hit; padding
        batch([1, -1, -2], [0, 0, 1], [1, 1, 1], 8.0),  # a false alarm two steps early, a miss
    ]), True)
    assert (row["val_done_recall"], row["val_done_precision"]) == (0.5, 0.5)
    assert row["val_loss"] == pytest.approx((4 * 1.0 + 3 * 8.0) / 7, abs=1e-4)  # over all batches
