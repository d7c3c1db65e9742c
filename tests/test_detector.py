"""The detector map: what maps are, the game on them, and who plays it by rule."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import scipy.sparse
from gymnasium.utils.env_checker import check_env

from worldmodels_repro.envs import detector
from worldmodels_repro.envs.detector import COLOURS, MOVES, Detector, Seeker
from worldmodels_repro.envs.detector_maps import Folder, Simulated
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.errors import UserError
from worldmodels_repro.watch.window import pressed

RIGHT = MOVES.index((0, 1))


def folder_of(path: Path, maps: int = 2, side: int = 24) -> Path:
    """A folder of a user's maps: a track along row 8, a shower along column 12."""
    path.mkdir(exist_ok=True)
    for number in range(maps):
        source, target = np.zeros((side, side)), np.zeros((side, side), int)
        source[8, 3:20], target[8, 3:20] = 60 + number, 1
        source[10:, 12], target[10:, 12] = 130, 2
        np.savez(path / f"image{number}.npz", source)
        np.savez(path / f"label{number}.npz", target)
    return path


# --- maps ---

def test_a_number_is_a_map_and_its_classes_deposit_what_theirs_do() -> None:
    maps = Simulated()
    np.testing.assert_array_equal(maps[5][0], maps[5][0])
    assert not np.array_equal(maps[5][0], maps[6][0])
    shares, medians, spread = [], [], []
    for number in range(12):
        source, target = maps[number]
        assert source.shape == target.shape == (256, 256)
        assert source.dtype == np.float32 and target.dtype == np.uint8
        assert set(np.unique(target)) <= {0, 1, 2} and source.min() == 0.0
        shares.append([(target == kind).mean() for kind in range(3)])
        medians.append(np.median(source[(target == 1) & (source > 0)]))
        # Noise: some pixels read out where nothing was, some don't where something was.
        assert 30 < ((source > 0) & (target == 0)).sum() < 120
        assert ((source == 0) & (target > 0)).any()
        # A shower is wider than a track: more of the pixels around one of it are of it, too.
        around = np.sum([np.roll(target > 0, move, (0, 1)) for move in MOVES], axis=0)
        spread.append([around[target == kind].mean() if (target == kind).any() else np.nan
                       for kind in (1, 2)])
    assert 0.9 < np.mean(shares, axis=0)[0] < 0.999 and min(np.mean(shares, axis=0)) > 0.001
    # A fast particle loses 63 counts in a pixel's way, which two or three pixels share.
    assert 15 < np.mean(medians) < 70
    track, shower = np.nanmean(spread, axis=0)
    assert shower > track + 0.3


def test_a_folder_of_maps(tmp_path: Path) -> None:
    maps = Folder(folder_of(tmp_path / "maps", maps=3))
    assert len(maps) == 3 and maps.played == range(3)
    source, target = maps[2]
    assert source[8, 3] == 62 and target[8, 3] == 1 and target[12, 12] == 2
    assert source.dtype == np.float32 and target.dtype == np.uint8


@pytest.mark.parametrize("form", ["csr", "csc", "coo"])
def test_maps_as_scipy_writes_them(tmp_path: Path, form: str) -> None:
    whole = Folder(folder_of(tmp_path))[1]
    for name, array in zip(("image1.npz", "label1.npz"), whole, strict=True):
        scipy.sparse.save_npz(tmp_path / name, scipy.sparse.coo_matrix(array).asformat(form))
    for array, again in zip(whole, Folder(tmp_path)[1], strict=True):
        np.testing.assert_array_equal(again, array)


def _write(name: str, array: np.ndarray) -> Callable[[Path], None]:
    return lambda path: np.savez(path / name, array)


@pytest.mark.parametrize(("spoil", "words"), [
    (lambda path: (path / "label1.npz").unlink(), "holds image1.npz and no label1.npz"),
    (lambda path: [file.unlink() for file in path.iterdir()], "holds no image0.npz"),
    (lambda path: (path / "image1.npz").write_bytes(b"nothing"), "image1.npz is no map"),
    (_write("image1.npz", np.array([[object]])), "image1.npz is no map"),
    (_write("image1.npz", np.ones(5)), "image1.npz is no map"),
    (_write("image1.npz", np.ones((30, 30))), "image1.npz is (30, 30), image0.npz is (24, 24)"),
    (_write("label1.npz", np.ones((9, 9), int)), "label1.npz is (9, 9), image0.npz is (24, 24)"),
    (_write("image1.npz", np.full((24, 24), np.nan)), "must hold numbers from 0 up"),
    (_write("image1.npz", np.zeros((24, 24))), "must hold numbers from 0 up"),
    (_write("label1.npz", np.arange(576).reshape(24, 24) % 5),
     "label1.npz holds the classes [0, 1, 2, 3, 4]: there are 3"),
])
def test_maps_that_are_none_are_refused(tmp_path: Path, spoil: Callable[[Path], None],
                                        words: str) -> None:
    path = folder_of(tmp_path / "maps")
    spoil(path)
    with pytest.raises(UserError) as refusal:
        Folder(path)[1]
    assert words in str(refusal.value) and len(str(refusal.value).splitlines()) == 1


# --- the game ---

@pytest.mark.parametrize("name", [game.name for game in detector.GAMES])
def test_gymnasiums_checker_is_content(name: str) -> None:
    game = game_named(name)
    env = gymnasium.make(game.judge_id, render_mode="rgb_array", **game.settings)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)


def _at(path: Path, row: int, column: int, **settings: object) -> Detector:
    """The game on a folder's first map, its cursor at a place."""
    env = Detector(folder=str(folder_of(path, maps=1)), **settings)  # type: ignore[arg-type]
    env.reset(seed=0)
    env.cursor = np.array([row, column])
    return env


def test_rewards_are_what_the_next_place_shows(tmp_path: Path) -> None:
    env = _at(tmp_path, 8, 4)
    _, reward, ended, cut, info = env.step(RIGHT)  # 5 pixels of the track, 24 not drawn
    assert reward == pytest.approx(5 + 24 * 0.09) and not ended and not cut
    assert info == {"wrote": 1, "truth": 1, "again": False}
    env.cursor = np.array([8, 5])
    assert env.step(MOVES.index((0, -1)))[4]["again"]  # back to where it was drawn
    env.cursor = np.array([9, 4])  # on an empty pixel; two are drawn, and one when it leaves
    assert env.step(RIGHT)[1] == pytest.approx(5 + 22 * 0.09 - 15)
    env.canvas[:] = 1.0
    env.cursor = np.array([8, 4])
    assert env.step(RIGHT)[1] == pytest.approx(5 - 5)
    onward = _at(tmp_path, 8, 4, back=-15.0)
    assert onward.step(RIGHT)[1] == pytest.approx(5 + 24 * 0.09)
    assert onward.step(MOVES.index((0, -1)))[1] == pytest.approx(4 + 23 * 0.09 - 15)


def test_leaving_the_margin_ends_and_nothing_else_does(tmp_path: Path) -> None:
    env = _at(tmp_path, 8, 20)
    assert not env.step(RIGHT)[2] and list(env.cursor) == [8, 21]
    _, _, ended, _, info = env.step(RIGHT)
    assert ended and list(env.cursor) == [8, 21] and not info["again"]


def test_it_begins_on_what_reads_out_something_and_a_seed_is_an_episode() -> None:
    env = Detector()
    for seed in range(5):
        env.reset(seed=seed)
        assert env.source[tuple(env.cursor)] > 0
    first = env.reset(seed=3)[0]
    np.testing.assert_array_equal(first, Detector().reset(seed=3)[0])


def test_states_are_both_windows_binarised(tmp_path: Path) -> None:
    env = _at(tmp_path, 8, 12)
    env.canvas[8, 11] = (0.1, 0.0, 0.3)
    state = env._state()
    assert state.shape == (50,) and set(np.unique(state)) == {0.0, 1.0}
    source, canvas = state.reshape(2, 5, 5)
    np.testing.assert_array_equal(source, env.source[6:11, 10:15] > 0)
    assert canvas.sum() == 1 and canvas[2, 1] == 1
    raw = _at(tmp_path, 8, 12, binarised=False)
    raw.canvas[8, 11] = (0.1, 0.0, 0.3)
    source, canvas = raw._state().reshape(2, 5, 5)
    np.testing.assert_array_equal(source, raw.source[6:11, 10:15])
    assert canvas[2, 1] == np.float32(0.3)


def test_an_agent_that_writes_is_told_the_window_and_the_truth(tmp_path: Path) -> None:
    env = _at(tmp_path, 8, 4, writes="agent")
    action = np.zeros(11, np.float32)
    action[RIGHT], action[8:] = 1.0, (0.2, 0.1, 0.6)
    state, _, _, _, info = env.step(action)
    assert info["wrote"] == 2 and info["truth"] == 1
    np.testing.assert_array_equal(env.canvas[8, 4], action[8:])
    np.testing.assert_array_equal(state[50:75], env.source[6:11, 3:8].ravel())
    np.testing.assert_array_equal(state[75:], [0, 1, 0])


def test_actions_of_an_agent_that_writes() -> None:
    game = game_named("detector_joint")
    values = np.zeros((2, 11), np.float32)
    values[0, 6], values[1, 2] = 3.0, 0.5
    values[:, 8:] = [[0.1, 0.2, 0.7], [5.0, 0.0, 0.0]]
    np.testing.assert_array_equal(game.choose(values)[:, :8], np.eye(8)[[6, 2]])
    np.testing.assert_array_equal(game.choose(values)[:, 8:], values[:, 8:])
    np.testing.assert_allclose(game.choose(values[:, :8])[:, 8:], 1 / 3)
    taken = game.taken(values)
    np.testing.assert_array_equal(taken, game.choose(values))


def test_the_map_shows_the_most_likely_class_not_its_probability(tmp_path: Path) -> None:
    """The log's bug of 8 January: [0.555, 0.12, 0.03] was drawn where a class was wanted."""
    env = _at(tmp_path, 8, 12)
    for column, vector in ((11, (0.555, 0.12, 0.03)), (12, (0.2, 0.3, 0.25)), (13, (0.1, 0, 0.2))):
        env.canvas[8, column] = vector
    shown = env.frame()[::2, ::2][16, 15:18]
    np.testing.assert_array_equal(shown, COLOURS)
    # On a pixel that reads out nothing it is darker.
    env.canvas[9, 13] = (0, 0, 1)
    np.testing.assert_array_equal(env.frame()[::2, ::2][17, 17], COLOURS[2] // 2)
    env.render_mode = "rgb_array"
    picture = env.render()
    assert picture.shape == (192, 384, 3) and picture.dtype == np.uint8
    np.testing.assert_array_equal(picture[99, 192 + 99], COLOURS[1])


def test_frames_at_the_edge_show_that_nothing_is_there(tmp_path: Path) -> None:
    env = _at(tmp_path, 2, 2)
    frame = env.frame()
    assert frame.shape == (64, 64, 3)
    np.testing.assert_array_equal(frame[0, 0], detector.OUTSIDE)
    np.testing.assert_array_equal(frame[32, 32], 0)


def test_the_bot_goes_where_nothing_is_drawn_then_where_something_is(tmp_path: Path) -> None:
    env = _at(tmp_path, 8, 5)
    player = Seeker(np.random.default_rng(1), 0.0)
    env.canvas[8, 4] = env.canvas[9, 5] = (0, 1, 0)
    assert {int(player.act(env.frame()).argmax()) for _ in range(20)} == {RIGHT}
    env.canvas[8, 6] = (0, 1, 0)
    assert {MOVES[int(player.act(env.frame()).argmax())] for _ in range(40)} == {(0, 1), (0, -1)}
    env.cursor = np.array([15, 5])  # nothing anywhere
    assert len({int(player.act(env.frame()).argmax()) for _ in range(80)}) == 8
    wild = Seeker(np.random.default_rng(1), 1.0)
    env.cursor = np.array([8, 5])
    assert len({int(wild.act(env.frame()).argmax()) for _ in range(80)}) == 8


def test_the_bot_beats_chance() -> None:
    game, scores = game_named("detector"), []
    assert game.scripted is not None
    for share in (0.0, 1.0):
        env, total = game.make("original"), 0.0
        for seed in range(12):
            player = game.scripted(np.random.default_rng(seed), share)
            frame, over = env.reset(seed=seed)[0], False
            while not over:
                frame, reward, ended, cut, _ = env.step(player.act(frame))
                total, over = total + float(reward), ended or cut
        scores.append(total / 12)
    assert scores[0] > scores[1] + 80


def test_moves_have_names() -> None:
    names = game_named("detector_joint").action_names
    assert names[MOVES.index((0, 1))] == "right" and names[-3:] == ["empty", "track", "shower"]
    assert len(names) == 11 and len(game_named("detector").action_names) == 8


@pytest.mark.parametrize(("held", "move"), [
    ({"up"}, (-1, 0)), ({"left"}, (0, -1)), ({"up", "left"}, (-1, -1)), ({"down", "right"}, (1, 1)),
])
def test_arrow_keys_add_up(held: set[str], move: tuple[int, int]) -> None:
    assert MOVES[int(pressed(game_named("detector"), held).argmax())] == move
