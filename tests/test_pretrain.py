"""What learns before C does: its networks, its data, TD3's critics, the stage whole, the probe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from learn_runs import config_of, does, refusal

from worldmodels_repro.config import load_config
from worldmodels_repro.data.episodes import kept_episodes
from worldmodels_repro.data.examples import Examples, load_examples
from worldmodels_repro.data.stacks import Sight
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.models.controller import ControllerShape
from worldmodels_repro.models.convolutions import TABLES, Convolution, FrameEncoder
from worldmodels_repro.models.network import Network
from worldmodels_repro.run import stages_of
from worldmodels_repro.sections import Learn, Pretrain
from worldmodels_repro.stages.pretrain import Course, Task, places
from worldmodels_repro.storage import load_csv, load_json, load_npz
from worldmodels_repro.worlds.agent import Body

PRETRAINED = """
game: pendulum
rollouts: {policies: {held: 4}, held_steps: [1, 1], max_steps: 12}
controller: {by: td3, inputs: [f], encoder: frozen}
frames: {stack: 2, background: true, layers: strided_1, latent: 3}
pretrain: {networks: [autoencoder, transition, decoder, regressor], sees: f, hidden: [64],
           steps: 4, batch: 4, validate_every: 2, validation: 0.3}
learn: {steps: 30, layers: [8, 8], delay: 16, random_steps: 10, every: 0, buffer: 60, batch: 4,
        evaluate_every: 100, evaluate_rollouts: 1, next: late, ahead: 2}
evolve: {workers: 1, slots: 2, max_steps: 10}
evaluate: {episodes: 1, random_episodes: 1}
"""
SIGHT = Sight(stack=2, gray=True, background=True)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Networks that have learnt, and a C that sees by one and whose critics are told by another."""
    folder = tmp_path_factory.mktemp("pretrain")
    for verb in ("rollouts", "pretrain", "learn"):
        does(verb, "--config", config_of(folder, PRETRAINED), "--run", folder / "run")
    return folder / "run"


# --- data ---

def test_states_stand_beside_the_frames_that_show_them(run: Path) -> None:
    game = game_named("pendulum")
    names = kept_episodes(run / "rollouts")
    lines = {line.split('"')[3]: line for line in
             (run / "rollouts" / "manifest.jsonl").read_text().splitlines()}
    for name in names:
        episode = load_npz(run / "rollouts" / f"{name}.npz")
        seed = int(lines[name].split('"seed": ')[1].split(",")[0])
        frames, states = game.make("original"), game.make_states()
        frame, _ = frames.reset(seed=seed)
        state, _ = states.reset(seed=seed)
        for step, action in enumerate(episode["actions"]):
            np.testing.assert_array_equal(episode["states"][step], state)
            np.testing.assert_array_equal(episode["frames"][step], frame)
            frame, state = frames.step(action)[0], states.step(action)[0]


def test_examples_never_reach_over_an_episodes_ends(run: Path) -> None:
    rollouts = run / "rollouts"
    names = kept_episodes(rollouts)
    examples = load_examples(rollouts, names, SIGHT, states=True)
    assert len(examples) == 48 and examples.seen.shape == (48, 3)
    np.testing.assert_array_equal(np.flatnonzero(examples.last), [11, 23, 35, 47])
    stacks = examples.stacks(np.array([0, 12, 13]))
    np.testing.assert_array_equal(stacks[0, ..., 0], stacks[0, ..., 1])
    np.testing.assert_array_equal(stacks[1, ..., 0], stacks[1, ..., 1])
    assert (stacks[1] == 128).all()  # the episode's own first frame is what is taken away
    np.testing.assert_array_equal(stacks[2, ..., 0], stacks[1, ..., 1])


def _steps(settings: Pretrain, follows: bool) -> Any:
    """The steps that batches are made of."""
    examples = Examples(sight=SIGHT, frames=np.zeros((9, 4, 4, 1), np.uint8),
                        first=np.array([0] * 5 + [5] * 4), last=np.isin(np.arange(9), [4, 8]),
                        seen=np.arange(9, dtype=np.float32)[:, None],
                        actions=np.zeros((9, 1), np.float32))
    task = Task(name="transition", model=None, unit=1.0, follows=follows,
                inputs=lambda part, steps: part.seen[steps],
                targets=lambda part, steps: part.seen[(steps + 1) % 9])
    return Course(settings, task, examples, examples, 1, Path())


def test_what_follows_is_of_the_same_episode() -> None:
    course = _steps(Pretrain(batch=64), follows=True)
    now, then = course.batch(64, np.random.default_rng(1))
    np.testing.assert_array_equal(then, now + 1)
    assert set(now.ravel()) == {0, 1, 2, 3, 5, 6, 7}


def test_examples_that_are_not_shuffled_follow_each_other() -> None:
    now, _ = _steps(Pretrain(shuffle=False), follows=False).batch(6, np.random.default_rng(1))
    np.testing.assert_array_equal(np.diff(now.ravel()) % 9, np.ones(5))
    mixed, _ = _steps(Pretrain(), follows=False).batch(6, np.random.default_rng(1))
    assert (np.diff(mixed.ravel()) % 9 != 1).any()


def test_places_are_centres_of_what_stands_out() -> None:
    pictures = np.zeros((3, 16, 16, 2), np.int16)
    pictures[0, 4, 10, 0] = 90
    pictures[1, 2, 3, 1] = pictures[1, 4, 3, 0] = 50
    pictures[2, 5, 5] = 3  # too faint
    found = places(pictures)
    np.testing.assert_allclose(found[:2], [[10, 4], [3, 3]])
    assert np.isnan(found[2]).all()


# --- networks ---

def test_what_is_handed_on_is_the_code_with_its_normalisation_in_the_kernels() -> None:
    from worldmodels_repro.models.keras_convolutions import folded
    from worldmodels_repro.models.pretraining import autoencoder

    encoder = FrameEncoder((16, 16, 2), (
        Convolution(4, 3, same=True, pool=2, norm=True),
        Convolution(1, 3, same=True, pool=2, bend="linear", norm=True)), 5)
    model = autoencoder(encoder, dropout=0.5)
    rng = np.random.default_rng(1)
    for variable in model.variables:
        if variable.path.split("/")[-1] in ("gamma", "beta", "moving_mean", "moving_variance"):
            variable.assign(rng.uniform(0.5, 2.0, variable.shape))
    frames = rng.integers(0, 256, (3, 16, 16, 2), dtype=np.uint8)
    names = [layer.name for layer in model.layers]
    until = names.index("code")
    values: Any = frames
    for layer in model.layers[1:until + 1]:
        values = layer(values, training=False) if "norm" in layer.name else layer(values)
    weights = folded(model.layers[:until])
    assert weights.shape == (encoder.weights,)
    np.testing.assert_allclose(encoder.act(weights[None], frames), np.asarray(values), atol=1e-4)
    assert model(frames).shape == (3, 16, 16, 2)


def test_a_states_picture_begins_as_8_by_8_pixels() -> None:
    from worldmodels_repro.models.pretraining import Scale, state_decoder

    model = state_decoder(Pretrain(hidden=(64,)), 8, (128, 128, 3), Scale(0.067, 0.582))
    shapes = {layer.name: tuple(layer.output.shape[1:]) for layer in model.layers
              if layer.name.startswith(("dense", "deconv")) or "reshape" in layer.name}
    assert list(shapes.values()) == [
        (64,), (8, 8, 1), (16, 16, 64), (32, 32, 64), (64, 64, 64), (128, 128, 3)]


def test_a_transition_begins_near_what_is_seen_and_learns() -> None:
    """x' = x + a: the network learns a rule that holds."""
    import keras

    from worldmodels_repro.models.pretraining import Scale, root_mean_square, transition

    keras.utils.set_random_seed(1)
    model = transition(Pretrain(hidden=(16,)), 2, 2, Scale(1.0, 2.0))
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss=root_mean_square(2.0))
    rng = np.random.default_rng(2)
    losses = []
    for _ in range(60):
        rows = rng.normal(size=(32, 4)).astype(np.float32)
        losses.append(float(model.train_on_batch(rows, rows[:, :2] + rows[:, 2:])))
    assert losses[-1] < 0.3 * losses[0]
    rows = rng.normal(size=(5, 2)).astype(np.float32)
    loss = root_mean_square(2.0)(rows, rows + 3.0)
    assert float(loss) == pytest.approx(1.5)


# --- critics ---

@pytest.mark.parametrize(("how", "ahead", "told"), [
    ("beside", 1, [1, 2, 5, 10, 20]), ("late", 1, [1, 2, 5, 10, 20]), ("alone", 1, [10, 20]),
    ("alone", 3, [10, 20, 100, 200, 1000, 2000]), ("beside", 2, [1, 2, 5, 10, 20, 100, 200])])
def test_critics_are_told_what_comes_next(how: Any, ahead: int, told: list[float]) -> None:
    from worldmodels_repro.learning.td3 import TD3

    acted: list[np.ndarray] = []

    def transition(rows: Any) -> Any:
        acted.append(np.asarray(rows)[:, 2:])
        return rows[:, :2] * 10.0

    settings = Learn(layers=(4, 4), next=how, ahead=ahead)
    learner = TD3(Network(features=2, outputs=1, hidden=(4, 4), kind="actions"), settings, 1,
                  transition=transition)
    seen, actions = np.array([[1.0, 2.0]], np.float32), np.array([[5.0]], np.float32)
    row = learner._told(seen, actions, lambda features: features[:, :1] * 0.5)
    np.testing.assert_allclose(np.asarray(row), [told])
    assert [float(action[0, 0]) for action in acted] == [5.0, 5.0, 50.0][:ahead]  # then the policy
    assert learner._parts["first"](row).shape == (1, 1)
    first = learner._parts["first"].trainable_variables[0]
    assert first.shape[0] == (3 if how == "late" else len(told))


@pytest.mark.parametrize("by", ["td3", pytest.param("dqn", marks=pytest.mark.slow)])
def test_what_was_learnt_before_is_where_it_begins(by: str) -> None:
    from worldmodels_repro.learning.dqn import DQN
    from worldmodels_repro.learning.frames import FrameRing
    from worldmodels_repro.learning.replay import Fifo
    from worldmodels_repro.learning.td3 import TD3

    encoder = FrameEncoder((64, 64, 2), (Convolution(2, 8, 8),), 3)
    settings = Learn(layers=(4,), batch=4, policy_every=1, learning_rate=0.01)
    network = Network(features=3, outputs=2, hidden=(4,), encoder=encoder,
                      kind="actions" if by == "td3" else "values")
    ring = FrameRing(SIGHT, 8)
    learner: Any = (TD3 if by == "td3" else DQN)(network, settings, 1, ring)
    weights = np.random.default_rng(2).normal(size=encoder.weights).astype(np.float32) * 0.1
    learner.start_with(weights)
    np.testing.assert_array_equal(learner.policy[0, :encoder.weights], weights)
    rng, memory = np.random.default_rng(3), Fifo(8, learner.columns.width)
    stacks = rng.integers(0, 256, (9, 64, 64, 2), dtype=np.uint8)
    keys = [ring.add(stack) for stack in stacks]
    done = 2 if by == "td3" else 1
    for number in range(8):
        memory.add(np.array([keys[number], 0, *[1.0] * done, 1.0, keys[number + 1], 0, 0.0],
                            np.float32), number)
    learner.update(memory, 2, rng)
    changed = learner.policy[0, :encoder.weights] != weights
    assert changed.any() and np.isfinite(learner.policy).all()
    again: Any = (TD3 if by == "td3" else DQN)(network, settings, 9, ring)
    again.restore(learner.state(), "here")
    np.testing.assert_array_equal(again.policy, learner.policy)


# --- the stage, by the command line ---

def test_networks_say_how_good_they_are(run: Path) -> None:
    facts = load_json(run / "pretrain" / "stage.json", dict)["facts"]
    assert set(facts["autoencoder"]) == set(facts["regressor"]) == {"rmse", "mean"}
    assert set(facts["transition"]) == {"rmse", "copied"}
    assert set(facts["decoder"]) == {"rmse", "mean", "off", "off_unnormalised"}
    for name in ("autoencoder", "decoder", "regressor", "transition"):
        rows = load_csv(run / "pretrain" / name / "history.csv", "step", "val_loss")
        assert [row["step"] for row in rows] == [2, 4]
        best = min(row["val_loss"] for row in rows)
        assert facts[name]["rmse"] == pytest.approx(best, rel=0.02)  # kept in half precision
    for picture in ("autoencoder/pictures.png", "decoder/pictures.png", "decoder/sweep.png"):
        assert (run / "pretrain" / picture).exists()


def test_c_saw_by_what_was_learnt(run: Path) -> None:
    assert stages_of(load_config(run / "config.yaml")) == ["rollouts", "pretrain", "learn",
                                                           "evaluate", "figures"]
    weights = load_npz(run / "learn" / "agent.npz")["weights"]
    assert weights.shape == ((3 + 1) * 8 + (8 + 1) * 8 + 9,)  # of three numbers, not of frames


def test_more_steps_of_pretraining_go_on_from_those_there(run: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    again.mkdir()
    (again / "rollouts").symlink_to(run / "rollouts", target_is_directory=True)
    config = config_of(tmp_path, PRETRAINED)
    words = ("--config", config, "--run", again, *(word for setting in (
        "pretrain.networks=[autoencoder]", "pretrain.sees=o", "learn.next=none", "learn.ahead=1")
        for word in ("--set", setting)))
    for steps in (2, 4):
        does("pretrain", *words, "--set", f"pretrain.steps={steps}")
    ours, theirs = (load_npz(folder / "pretrain" / "autoencoder" / "training.npz")
                    for folder in (again, run))
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name], name)


def test_the_probe_sets_what_was_learnt_beside_the_state(
        run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    does("probe", "--run", run, "--episodes", "4")
    assert "| autoencoder |" in capsys.readouterr().out
    found = load_json(run / "probe" / "probe.json", dict)["found"]["autoencoder"]
    assert len(found["r2"]) == 3 and 1 <= len(found["cca"]) <= 3
    assert "4 or more" in refusal(capsys, "probe", "--run", run, "--episodes", "2")


def test_a_linear_relation_is_found_and_noise_is_not() -> None:
    from worldmodels_repro.truth.states import relation

    rng = np.random.default_rng(1)
    states, episodes = rng.normal(size=(600, 3)), np.arange(600) // 20
    states[:, 2] = 1.0  # it never changes
    found = relation(states[:, :2] @ rng.normal(size=(2, 5)), states, episodes)
    np.testing.assert_allclose(found["r2"][:2], 1.0, atol=1e-3)
    assert np.isnan(found["r2"][2]) and min(found["cca"]) > 0.99
    noise = relation(rng.normal(size=(600, 5)), states, episodes)
    assert max(noise["r2"][:2]) < 0.05 and max(noise["cca"]) < 0.25


@pytest.mark.parametrize(("verb", "settings", "words"), [
    ("pretrain", ["pretrain.networks=[]", "pretrain.sees=o", "controller.inputs=[o]",
                  "controller.encoder=fresh", "learn.next=none", "learn.ahead=1"],
     "set pretrain.networks"),
    ("pretrain", ["game=car_racing"], "car_racing has no state for the decoder"),
    ("pretrain", ["pretrain.hidden=[60]"], "64, or a multiple"),
    ("pretrain", ["pretrain.networks=[transition]"], "pretrain.sees=f is of the autoencoder"),
    ("pretrain", ["frames.skip=2"], "set frames.skip=1"),
    ("learn", ["controller.encoder=tuned"], "learn.next is of what C sees"),
    ("learn", ["learn.next=none"], "learn.ahead does nothing"),
    ("learn", ["controller.by=dqn"], "learn.next is of TD3's critics"),
    ("learn", ["game=car_racing"], "bends what C gives"),
])
def test_what_can_not_be_pretrained_is_refused_in_a_line(
        tmp_path: Path, verb: str, settings: list[str], words: str,
        capsys: pytest.CaptureFixture[str]) -> None:
    line = refusal(capsys, verb, "--config", config_of(tmp_path, PRETRAINED), "--run",
                    tmp_path / "run", *(word for setting in settings
                                        for word in ("--set", setting)))
    assert words in line


def test_an_encoder_of_another_game_is_refused(run: Path, tmp_path: Path,
                                               capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for stage in ("rollouts", "pretrain"):
        (other / stage).symlink_to(run / stage, target_is_directory=True)
    line = refusal(capsys, "learn", "--config", config_of(tmp_path, PRETRAINED), "--run", other,
                    "--set", "game=lunar_lander_continuous")
    assert "game: pendulum there, lunar_lander_continuous here" in line


def test_networks_of_the_same_settings_are_shared_by_a_grid(tmp_path: Path) -> None:
    """What C does with an autoencoder is not a setting of the autoencoder."""
    from worldmodels_repro.run import Run

    config = load_config(config_of(tmp_path, PRETRAINED), ["learn.next=none", "learn.ahead=1"])
    tuned = replace_encoder(config, "tuned")
    assert Run(tmp_path, config).settings("pretrain") == Run(tmp_path, tuned).settings("pretrain")


def replace_encoder(config: Any, how: str) -> Any:
    return config.model_copy(update={"controller": config.controller.model_copy(
        update={"encoder": how})})


def test_c_behind_a_frozen_encoder_sees_as_many_numbers_as_that_gives() -> None:
    encoder = FrameEncoder((64, 64, 1), TABLES["strided"])
    body = Body(game="pendulum", vision=None, memory=None, inputs=("f",), hidden=0, bias=True,
                sample_z=False, precision="f32", encoder=(encoder, np.zeros((1, encoder.weights))))
    assert body.features == body.sizes["f"] == encoder.outputs == 16
    assert isinstance(body.shape, ControllerShape)
    (matrix, bias), = body.shape.parts(np.arange(17.0)[None])
    np.testing.assert_array_equal(matrix[0, 0], np.arange(16.0))
    assert bias is not None
    assert bias[0] == 16.0
