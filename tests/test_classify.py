"""What tells a map's windows apart, and the C that moves and says what is there, through the real
command line; several tests are named after what went wrong in the log that they come from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import command, refused
from test_detector import folder_of

from worldmodels_repro.config import load_config
from worldmodels_repro.data.balance import class_weights
from worldmodels_repro.data.windows import Windows
from worldmodels_repro.envs.detector_maps import Folder, Simulated
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.models.network import Joint, Network
from worldmodels_repro.run import Run, load_run, stages_of
from worldmodels_repro.sections import Classify, Learn
from worldmodels_repro.storage import load_csv, load_npz
from worldmodels_repro.worlds.agent import load_agent

TINY = Path(__file__).parent / "tiny_detector.yaml"


def _does(*words: object) -> str:
    result = command(*words)
    assert result.returncode == 0, result.stderr
    return result.stdout


# --- windows ---

def test_windows_are_cut_where_their_middle_is(tmp_path: Path) -> None:
    maps = Folder(folder_of(tmp_path))
    for window, output in ((5, 1), (5, 3), (3, 3), (3, 1)):
        windows = Windows(maps, range(2), window, output, neighbours=True)
        seen, told, number = windows.drawn(200, np.random.default_rng(1))
        assert seen.shape == (200, window**2) and told.shape == (200, output**2)
        # A track's pixels, and no others, read out 60 or 61 by the map; a shower's 130.
        edge = (window - output) // 2
        middle = seen.reshape(200, window, window)[
            :, edge:window - edge, edge:window - edge].reshape(200, output**2)
        np.testing.assert_array_equal(middle == 60 + number[:, None], told == 1)
        np.testing.assert_array_equal(middle == 130, told == 2)
        assert windows.counts.sum() == len(windows) * output**2


def test_neighbours_are_what_is_around_and_else_all_is_of_something(tmp_path: Path) -> None:
    maps = Folder(folder_of(tmp_path))
    alone = Windows(maps, range(2), 5, 1, neighbours=False)
    assert len(alone) == 2 * (17 + 14) and (alone.counts[:, 0] == 0).all()
    np.testing.assert_array_equal(alone.counts[:, 1:], [[17, 14]] * 2)
    around = Windows(maps, range(2), 5, 1, neighbours=True)
    # 3 x 19 around the track, and 15 x 3 around the shower, of which one row of 3 is both's.
    np.testing.assert_array_equal(around.counts, [[3 * 19 + 15 * 3 - 3 - 31, 17, 14]] * 2)


# --- weights ---

def test_weights_of_classes() -> None:
    counts = np.array([[60, 20, 0], [60, 20, 40]])
    for balance, rows in (
            ("none", [[1, 1, 1]] * 2), ("inverse", [[1, 3, 3]] * 2),
            # Frequencies: 120 / 200, 40 / 200, and 40 / 120 of the map that holds it.
            ("median", [[1 / 3 / 0.6, 1 / 3 / 0.2, 1]] * 2),
            ("map", [[100 / 60, 100 / 20, 0], [100 / 60, 100 / 20, 100 / 40]])):
        weights = class_weights(counts, balance)  # type: ignore[arg-type]
        np.testing.assert_allclose(weights, rows, rtol=1e-6)
        squared = class_weights(counts, balance, squared=True)  # type: ignore[arg-type]
        np.testing.assert_allclose(squared, np.square(rows), rtol=1e-6)


def test_a_pixel_weighs_what_its_class_does_in_its_map(tmp_path: Path) -> None:
    from worldmodels_repro.stages.classify import Course

    maps = Folder(folder_of(tmp_path))
    windows = Windows(maps, range(2), 5, 3, neighbours=True)
    course = Course(Classify(output=3, balance="map", squared=True), windows, windows, 1)
    _, targets = course.batch(64, np.random.default_rng(2))
    _, told, number = windows.drawn(64, np.random.default_rng(2))
    assert targets.shape == (64, 9, 3)
    np.testing.assert_array_equal(targets.argmax(axis=-1), told)
    np.testing.assert_allclose(targets.sum(axis=-1), class_weights(
        windows.counts, "map", squared=True)[number[:, None], told])


def test_a_weighted_loss_has_its_own_slope() -> None:
    """Targets that don't add up to 1 mislead TensorFlow's cross-entropy; the slope is
    w (p - y)."""
    import tensorflow as tf

    from worldmodels_repro.models.classifier import cross_entropy

    logits = tf.Variable([[[0.3, -1.0, 2.0]]])
    targets = np.array([[[0.0, 4.0, 0.0]]], np.float32)
    with tf.GradientTape() as tape:
        loss = cross_entropy(targets, logits)
    share = np.exp(logits.numpy()) / np.exp(logits.numpy()).sum()
    np.testing.assert_allclose(loss, -4 * np.log(share[0, 0, 1]), rtol=1e-5)
    np.testing.assert_allclose(tape.gradient(loss, logits), 4 * (share - [0, 1, 0]), rtol=1e-4)


# --- the stage ---

@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Classes are told apart, C has learnt to move, and both were judged."""
    folder = tmp_path_factory.mktemp("detector") / "run"
    for verb in ("classify", "learn", "evaluate"):
        _does(verb, "--config", TINY, "--run", folder)
    return folder


def _rows(path: Path) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "seconds"}
            for row in load_csv(path)]


def test_the_history_says_how_many_of_each_class_are_found(run: Path) -> None:
    rows = load_csv(run / "classify" / "history.csv")
    assert [row["step"] for row in rows] == [2, 4, 6, 8]
    assert {"loss", "accuracy", "val_loss", "val_accuracy", "val_recall_empty",
            "val_recall_track", "val_recall_shower"} <= set(rows[0])
    facts = json.loads((run / "classify" / "stage.json").read_text())["facts"]
    assert facts["val_loss"] == min(row["val_loss"] for row in rows)
    assert stages_of(load_config(TINY)) == ["classify", "learn", "evaluate", "figures"]


def test_what_is_found_is_what_a_network_tells() -> None:
    """Windows by hand: a model that always says 'track' finds all of those and nothing else."""
    from worldmodels_repro.stages.classify import Course

    windows = Windows(Simulated(), range(2), 5, 1, neighbours=True)
    course = Course(Classify(balance="none", validation_steps=3), windows, windows, 1)

    def says_track(seen: np.ndarray, training: bool) -> np.ndarray:
        return np.tile(np.array([0.0, 3.0, 0.0], np.float32), (len(seen), 1, 1))

    row = course.validate(says_track)
    truth = np.concatenate([told for _, told in course._validation])
    assert row["val_recall_track"] == 1.0 and row["val_recall_shower"] == 0.0
    assert row["val_accuracy"] == pytest.approx((truth == 1).mean(), abs=1e-6)
    likely = np.exp(3) / (np.exp(3) + 2)
    rest = (1 - likely) / 2
    assert row["val_loss"] == pytest.approx(
        -np.mean(np.where(truth == 1, np.log(likely), np.log(rest))), abs=1e-4)


@pytest.mark.slow
def test_classes_are_learnt(tmp_path: Path) -> None:
    run = tmp_path / "run"
    _does("classify", "--config", TINY, "--run", run, "--set", "classify.steps=150", "--set",
          "classify.validate_every=75", "--set", "classify.units=32", "--set",
          "classify.maps=[12,4]", "--set", "classify.dropout=0.0", "--set", "classify.batch=64",
          "--set", "classify.validation_steps=8")
    last = load_csv(run / "classify" / "history.csv")[-1]
    assert last["val_accuracy"] > 0.7
    assert min(last["val_recall_track"], last["val_recall_shower"]) > 0.2


def test_a_classifier_goes_on_with_the_same_numbers(run: Path, tmp_path: Path) -> None:
    half = tmp_path / "half"
    for steps in (4, 8):
        _does("classify", "--config", TINY, "--run", half, "--set", f"classify.steps={steps}")
    assert _rows(half / "classify" / "history.csv") == _rows(run / "classify" / "history.csv")
    there, here = (load_npz(folder / "classify" / "training.npz") for folder in (run, half))
    assert there.keys() == here.keys()
    for name, array in there.items():
        np.testing.assert_array_equal(array, here[name], err_msg=name)


def test_nan_without_batch_normalisation_is_caught(tmp_path: Path) -> None:
    """20 December: 'First one without the nans. I needed to add batch normalisation.'"""
    words = ("classify", "--config", TINY, "--set", "classify.learning_rate=0.5", "--set",
             "classify.steps=20", "--set", "classify.validate_every=20", "--set",
             "classify.layers=4", "--set", "classify.units=32")
    line = refused(command(*words, "--run", tmp_path / "without", "--set",
                           "classify.normalise=false"))
    assert "the loss is nan by step 20: set classify.normalise=true" in line
    _does(*words, "--run", tmp_path / "with")


@pytest.mark.parametrize(("settings", "words"), [
    (["game=car_racing", "controller.classes=null"], "car_racing is not played on maps"),
    (["classify.neighbours=false"], "only neighbours are empty pixels to learn"),
    (["controller.by=cma_es"], "controller.classes is for DQN"),
    (["learn.frozen=true"], "set learn.start to the run"),
])
def test_what_can_not_be_classified(tmp_path: Path, settings: list[str], words: str) -> None:
    line = refused(command("classify", "--config", TINY, "--run", tmp_path / "run",
                           *(word for setting in settings for word in ("--set", setting))))
    assert words in line


def test_a_users_own_maps_are_played_and_learnt(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "maps", maps=3)
    own = tmp_path / "own.py"
    own.write_text("from worldmodels_repro.envs.detector import game\n"
                   f"GAME = game('own', folder={str(folder)!r}, writes='agent')\n")
    words = ("classify", "--config", TINY, "--run", tmp_path / "run", "--set",
             f"game={own}:GAME", "--set", "classify.steps=2")
    assert "there are 3 maps, classify.maps asks for 5" in refused(command(*words))
    _does(*words, "--set", "classify.maps=[2,1]")
    env = game_named(f"{own}:GAME").make_states()
    assert env.reset(seed=1)[0].shape == (78,)
    (folder / "label1.npz").unlink()
    line = refused(command(*words, "--set", "classify.maps=[1,1]", "--run", tmp_path / "other"))
    assert "holds image1.npz and no label1.npz" in line


# --- C that moves and says what is there ---

def test_two_networks_stand_beside_each_other() -> None:
    rng = np.random.default_rng(1)
    network = Joint(features=50 + 25 + 3, outputs=8, hidden=(4,),
                    classes=Network(features=25, outputs=3, hidden=(5, 5)))
    weights = rng.normal(size=(2, network.weights)).astype(np.float32)
    seen = rng.normal(size=(2, 78)).astype(np.float32)
    moves, given = network.moves, network.act(weights, seen)
    assert given.shape == (2, 11) and moves.features == 50
    np.testing.assert_allclose(given[:, :8], moves.act(weights[:, :moves.weights], seen[:, :50]))
    np.testing.assert_allclose(given[:, 8:].sum(axis=1), 1.0, rtol=1e-5)
    logits = network.classes.act(weights[:, moves.weights:], seen[:, 50:75])
    np.testing.assert_array_equal(given[:, 8:].argmax(axis=1), logits.argmax(axis=1))
    other = seen.copy()
    other[:, 75:] = 7.0  # the truth is for learning alone
    np.testing.assert_array_equal(network.act(weights, other), given)


def test_the_network_that_acts_is_the_one_that_was_trained(run: Path) -> None:
    """Batch normalisation is a part of the layers where workers compute."""
    from worldmodels_repro.models.classifier import as_network, classifier
    from worldmodels_repro.models.weights import load_weights, set_weights

    settings = load_config(TINY).classify
    model = classifier(settings)
    set_weights(model, load_weights(run / "classify" / "weights.npz"))
    seen = Windows(Simulated(), range(1), 5, 1, True).drawn(20, np.random.default_rng(1))[0]
    network = Network(features=25, outputs=3, hidden=(8, 8))
    np.testing.assert_allclose(network.act(as_network(model)[None], seen),
                               np.asarray(model(seen, training=False))[:, 0], rtol=1e-3, atol=1e-3)


def _parts(run: Path) -> tuple[np.ndarray, np.ndarray]:
    """An agent's weights that move, and those that tell classes apart."""
    agent = load_agent(run)
    assert isinstance(agent.body.network, Joint)
    return np.split(agent.weights, [agent.body.network.moves.weights])  # type: ignore[return-value]


def test_an_agent_of_both_draws_what_it_thinks_and_is_judged(run: Path) -> None:
    judged = json.loads((run / "evaluate" / "evaluation.json").read_text())
    assert judged["environment"] == "worldmodels/Detector-v0"
    assert judged["results"]["agent"]["episodes"] == 2
    told = _does("map", run, "--episodes", 3)
    assert "held-out windows" in told and "3 held-out walks" in told
    assert "scripted on detector_joint" in told and "random on detector_joint" in told
    table = json.loads(_does("map", run, "--episodes", 3, "--json"))
    walks = table["walks"][str(run)][0]
    assert 0 <= walks["again"] <= 1 and 1 <= walks["steps"] <= 14


def _learnt(run: Path, to: Path, *settings: str) -> Path:
    """Another run's C, from the same classifier."""
    to.mkdir()
    (to / "classify").symlink_to(run / "classify", target_is_directory=True)
    _does("learn", "--config", TINY, "--run", to,
          *(word for setting in settings for word in ("--set", setting)))
    return to


def test_trained_together_apart_or_one_alone_from_disk(run: Path, tmp_path: Path) -> None:
    from worldmodels_repro.models.classifier import as_network, classifier
    from worldmodels_repro.models.weights import load_weights, set_weights

    model = classifier(load_config(TINY).classify)
    set_weights(model, load_weights(run / "classify" / "weights.npz"))
    learnt = as_network(model)
    assert not np.array_equal(_parts(run)[1], learnt)  # tuned, with how to move
    apart = _learnt(run, tmp_path / "apart", "controller.classes=frozen")
    np.testing.assert_array_equal(_parts(apart)[1], learnt)
    alone = _learnt(run, tmp_path / "alone", "controller.classes=fresh", f"learn.start={apart}",
                    "learn.frozen=true")
    np.testing.assert_array_equal(_parts(alone)[0], _parts(apart)[0])
    assert not np.array_equal(_parts(alone)[1], learnt)
    # The agent is the last one: how it moves, which is judged, is the same all along.
    assert load_agent(alone).origin["step"] == load_csv(alone / "learn/history.csv")[-1]["step"]
    both = _learnt(run, tmp_path / "both", f"learn.start={apart}", "learn.steps=8",
                   "learn.delay=100")
    np.testing.assert_array_equal(_parts(both)[0], _parts(apart)[0])
    np.testing.assert_array_equal(_parts(both)[1], learnt)


@pytest.mark.slow
def test_learning_both_goes_on_with_the_same_numbers(run: Path, tmp_path: Path) -> None:
    half = tmp_path / "half"
    half.mkdir()
    (half / "classify").symlink_to(run / "classify", target_is_directory=True)
    for steps in (60, 120):
        _does("learn", "--config", TINY, "--run", half, "--set", f"learn.steps={steps}")
    there, here = (load_npz(folder / "learn" / "learner.npz") for folder in (run, half))
    assert there.keys() == here.keys()
    for name, array in there.items():
        np.testing.assert_array_equal(array, here[name], err_msg=name)


@pytest.mark.parametrize(("settings", "words"), [
    (["controller.classes=null"], "detector_joint has classes to tell apart"),
    (["game=detector"], "detector has no classes to tell apart"),
    (["classify.window=3"], "set classify.window=5 and classify.output=1"),
    (["learn.start=nowhere"], "nowhere"),
])
def test_agents_that_can_not_be(tmp_path: Path, settings: list[str], words: str) -> None:
    line = refused(command("learn", "--config", TINY, "--run", tmp_path / "run",
                           *(word for setting in settings for word in ("--set", setting))))
    assert words in line


@pytest.mark.parametrize("how", ["fresh", "tuned", "frozen"])
def test_how_classes_are_told_apart_counts_for_c(tmp_path: Path, how: str) -> None:
    """Else a run would go on, or a grid would share its C, with another classifier."""
    config = load_config(TINY, [f"controller.classes={how}"])
    assert Run(tmp_path, config).settings("learn")["classify.units"] == 8
    assert "classify" not in stages_of(config) or how != "fresh"


def test_a_start_of_another_shape_is_refused(run: Path, tmp_path: Path) -> None:
    to = tmp_path / "other"
    to.mkdir()
    (to / "classify").symlink_to(run / "classify", target_is_directory=True)
    line = refused(command("learn", "--config", TINY, "--run", to, "--set", f"learn.start={run}",
                           "--set", "learn.layers=[9]"))
    assert "holds another network" in line


def test_loss_of_1248_without_binarisation_12_with_it() -> None:
    """13 January: the first squared errors of values, on windows as they are and on 1 and 0."""
    from worldmodels_repro.learning.dqn import DQN

    losses = {}
    for name in ("detector", "detector_raw"):
        env, rng, rows = game_named(name).make_states(), np.random.default_rng(1), []
        learner = DQN(Network(features=50, outputs=8, hidden=(32, 32, 32)), Learn(batch=64), 1)
        seen = env.reset(seed=1)[0]
        for number in range(64):
            choice = int(rng.integers(8))
            then, reward, ended, cut, _ = env.step(np.eye(8)[choice])
            rows.append(np.concatenate([seen, [choice, float(reward)], then, [ended]],
                                       dtype=np.float32))
            seen = env.reset(seed=number)[0] if ended or cut else then
        errors, _ = learner.learn(np.stack(rows), np.ones(64, np.float32))
        losses[name] = float(np.square(errors).mean())
    assert losses["detector_raw"] > 10 * losses["detector"]


def test_the_agents_film_shows_the_map_as_it_is_drawn(run: Path, tmp_path: Path) -> None:
    from PIL import Image

    film = tmp_path / "film.webp"
    said = _does("play", "--run", run, "--gif", film, "--seed", 5)
    with Image.open(film) as pictures:
        steps = int(said.split(" in ")[1].split(" steps")[0])
        # Every step is shown; two pictures that are alike become one.
        assert 2 <= getattr(pictures, "n_frames", 1) <= steps + 1
    assert load_run(run).config.game == "detector_joint"
