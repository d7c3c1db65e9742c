"""Frames and sequences: everything once, nothing twice, in bounded memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from worldmodels_repro.data.episodes import episode_file, load_episode, split_episodes
from worldmodels_repro.data.frame_pool import FRAME_BYTES, FramePool
from worldmodels_repro.data.sequences import Sequences
from worldmodels_repro.errors import UserError
from worldmodels_repro.sections import Vae
from worldmodels_repro.stages.vae import _thinned
from worldmodels_repro.storage import Arrays, save_npz


def _numbered(lengths: dict[str, int]) -> FramePool:
    """A pool over episodes whose frames carry (episode, step) in their first pixels."""

    def load(episode: str) -> np.ndarray:
        frames = np.zeros((lengths[episode], 64, 64, 3), np.uint8)
        frames[:, 0, 0, 0] = int(episode)
        frames[:, 0, 0, 1] = np.arange(lengths[episode]) % 256
        frames[:, 0, 0, 2] = np.arange(lengths[episode]) // 256
        return frames

    return FramePool(load, mib=16)


def _ids(batches: list[np.ndarray]) -> list[tuple[int, ...]]:
    return [tuple(pixel) for batch in batches for pixel in batch[:, 0, 0].tolist()]


def test_every_frame_comes_once_an_epoch_in_any_order() -> None:
    lengths = {str(n): 100 + 37 * n for n in range(20)}
    pool = _numbered(lengths)
    seen = _ids(list(pool.batches(list(lengths), 100, np.random.default_rng(0))))
    assert len(seen) == len(set(seen)) == sum(lengths.values()) // 100 * 100


def test_the_pool_stays_within_its_memory_and_mixes_episodes() -> None:
    lengths = dict.fromkeys(map(str, range(40)), 500)  # 246 MB through a pool of 16 MiB
    pool = _numbered(lengths)
    batches = list(pool.batches(list(lengths), 100, np.random.default_rng(1)))
    assert pool._pool.nbytes <= 16 * 2**20 + 500 * FRAME_BYTES
    early = batches[: len(batches) // 2]
    assert np.mean([len({i[0] for i in _ids([batch])}) for batch in early]) > 1.5


def test_the_same_seed_draws_the_same_batches() -> None:
    lengths = dict.fromkeys(map(str, range(6)), 200)
    one, other = (_ids(list(_numbered(lengths).batches(list(lengths), 50,
                                                       np.random.default_rng(2))))
                  for _ in range(2))
    assert one == other
    third = _ids(list(_numbered(lengths).batches(list(lengths), 50, np.random.default_rng(3))))
    assert one != third


def test_a_data_set_that_fits_is_shuffled_uniformly() -> None:
    lengths = dict.fromkeys(map(str, range(4)), 250)
    order = _ids(list(_numbered(lengths).batches(list(lengths), 100, np.random.default_rng(4))))
    position = np.array([np.mean([i for i, frame in enumerate(order) if frame[0] == int(episode)])
                         for episode in lengths])
    assert np.all(np.abs(position - 500) < 60), position


def _episode(T: int, first: float) -> dict[str, np.ndarray]:
    steps = np.arange(T)[:, None]
    return {"mu": (first + steps + np.zeros((T, 2))).astype(np.float16),
            "logvar": np.full((T, 2), -40, np.float16),
            "actions": np.full((T, 1), first, np.float32),
            "rewards": np.arange(T, dtype=np.float32),
            "terminated": np.arange(T) == T - 1, "truncated": np.zeros(T, bool)}


def test_targets_are_the_next_latents_and_the_step_s_own_outcome() -> None:
    sequences = Sequences([_episode(5, 100.0)], length=10, restart_input=True)
    inputs, targets = next(sequences.in_order(1, np.random.default_rng(0)))
    np.testing.assert_allclose(inputs[0, :, 0], [100, 101, 102, 103, 104], atol=1e-3)
    np.testing.assert_allclose(targets["z"][0, :4, 0], [101, 102, 103, 104], atol=1e-3)
    np.testing.assert_array_equal(targets["next_valid"][0], [1, 1, 1, 1, 0])
    np.testing.assert_array_equal(targets["done"][0], [0, 0, 0, 0, 1])
    np.testing.assert_array_equal(targets["reward"][0], [0, 1, 2, 3, 4])
    np.testing.assert_array_equal(inputs[0, :, -1], [1, 0, 0, 0, 0])


def test_short_episodes_are_masked_and_long_ones_cut() -> None:
    sequences = Sequences([_episode(30, 0.0), _episode(4, 500.0)], length=10)
    for _ in range(20):
        inputs, targets = sequences.batch(6, np.random.default_rng(_))
        assert inputs.shape == (6, 10, 3)
        for row in range(6):
            steps = int(targets["valid"][row].sum())
            assert steps in (4, 10)
            expected = np.diff(np.append(inputs[row, :steps, 0], targets["z"][row, steps - 1, 0]))
            within = targets["next_valid"][row, :steps].astype(bool)
            np.testing.assert_allclose(expected[within], 1.0, atol=1e-2)


def test_validation_scores_every_step_once() -> None:
    sequences = Sequences([_episode(30, 0.0), _episode(4, 0.0)], length=12)
    batches = list(sequences.in_order(2, np.random.default_rng(0)))
    assert sum(targets["valid"].sum() for _, targets in batches) == 34
    # Window ends have a target too: the first latent of the next window.
    assert sum(targets["next_valid"].sum() for _, targets in batches) == 29 + 3


def test_latents_are_sampled_afresh() -> None:
    episode = _episode(20, 0.0) | {"logvar": np.zeros((20, 2), np.float16)}
    sequences = Sequences([episode], length=20)
    one, _ = sequences.batch(1, np.random.default_rng(0))
    other, _ = sequences.batch(1, np.random.default_rng(1))
    assert 0.5 < np.std((one - other)[..., :2]) / np.sqrt(2) < 1.5


def test_splits_are_disjoint_and_fixed() -> None:
    training, held_out = split_episodes(list(map(str, range(40))), 0.1, seed=3)
    assert len(held_out) == 4
    assert not set(training) & set(held_out)
    assert (training, held_out) == split_episodes(list(map(str, range(40))), 0.1, seed=3)


def test_one_episode_cannot_be_split() -> None:
    with pytest.raises(UserError, match="at least 2"):
        split_episodes(["7"], 0.5, seed=0)


@pytest.mark.parametrize("arrays", [
    {"frames": np.zeros((3, 64, 64, 3), np.uint8)},  # a name is missing
    {name: np.zeros(3) for name in ("frames", "actions", "rewards", "terminated", "truncated")},
])
def test_foreign_files_are_named(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    path = tmp_path / "held-000000.npz"
    save_npz(path, arrays)
    with pytest.raises(UserError, match=r"held-000000\.npz"):
        load_episode(tmp_path, "held-000000")


def test_late_frames_get_the_share_that_is_asked_for(tmp_path: Path) -> None:
    names = [f"held-{number:06d}" for number in range(20)]
    for name in names:
        save_npz(episode_file(tmp_path, name), {
            "frames": np.repeat(np.arange(100, dtype=np.uint8), 64 * 64 * 3).reshape(
                100, 64, 64, 3),
            "actions": np.zeros((100, 1), np.float32), "rewards": np.zeros(100, np.float32),
            "terminated": np.zeros(100, bool), "truncated": np.zeros(100, bool)})
    lengths = dict.fromkeys(names, 100)
    load, frames = _thinned(tmp_path, lengths, names, Vae(late=(80, 0.6)), seed=3)
    steps = np.concatenate([load(name)[:, 0, 0, 0] for name in names])
    assert (steps >= 80).sum() == 20 * 20  # none of the late ones is lost
    assert np.mean(steps >= 80) == pytest.approx(0.6, abs=0.05)
    assert frames == pytest.approx(len(steps), rel=0.05)
    np.testing.assert_array_equal(load(names[0]), load(names[0]))
    with pytest.raises(UserError, match=r"vae\.late"):
        _thinned(tmp_path, lengths, names, Vae(late=(100, 0.6)), seed=3)


def _latents(length: int, terminated: bool) -> Arrays:
    ends = np.zeros(length, bool)
    ends[-1] = terminated
    return {"mu": np.full((length, 2), 1.0, np.float32), "logvar": np.full((length, 2), -60.0),
            "mirrored_mu": np.full((length, 2), -1.0),
            "mirrored_logvar": np.full((length, 2), -60.0),
            "actions": np.full((length, 1), 0.5, np.float32), "rewards": np.zeros(length),
            "terminated": ends}


def test_foresight_tells_what_is_known_of_an_ending_ahead() -> None:
    sequences = Sequences([_latents(6, True), _latents(6, False)], 6, foresight=(1, 3))
    _, targets = next(sequences.in_order(2, np.random.default_rng(0)))
    ends, cut = targets["ahead"], targets["known"]
    np.testing.assert_array_equal(ends[0, :, 0], [0, 0, 0, 0, 0, 1])  # with this very step
    np.testing.assert_array_equal(ends[0, :, 1], [0, 0, 0, 1, 1, 1])
    assert cut[0].all()
    # An episode that was cut might have ended right after.
    assert not ends[1].any()
    np.testing.assert_array_equal(cut[1, :, 0], [1, 1, 1, 1, 1, 0])
    np.testing.assert_array_equal(cut[1, :, 1], [1, 1, 1, 0, 0, 0])


@pytest.mark.parametrize("restart", [True, False])
def test_windows_with_endings_come_more_often_and_weigh_less(restart: bool) -> None:
    episodes = [_latents(length, ends) | {"rewards": np.arange(length)} for length, ends in
                ((40, True), (25, False), (6, True), (60, True))]
    plain, more = (Sequences(episodes, 10, restart, endings=share).batch(
        6000, np.random.default_rng(1))[1] for share in (0.0, 0.6))
    assert np.mean(more["done"].max(axis=1)) > 1.5 * np.mean(plain["done"].max(axis=1))
    for name in ("done", "reward"):  # a step's mean is what it was
        means = [np.average(targets[name], weights=targets["valid"]) for targets in (plain, more)]
        assert means[1] == pytest.approx(means[0], rel=0.05)
    assert more["valid"].sum() == pytest.approx(plain["valid"].sum(), rel=0.03)


def test_windows_with_endings_need_endings() -> None:
    with pytest.raises(UserError, match=r"memory\.endings"):
        Sequences([_latents(40, False)], 10, endings=0.5)


def test_mirrored_windows_have_mirrored_latents_and_actions() -> None:
    sequences = Sequences([_latents(8, True)] * 2, 4, mirrored=np.negative)
    inputs, targets = sequences.batch(200, np.random.default_rng(0))
    turned = inputs[:, 0, 0] < 0
    assert 0.4 < turned.mean() < 0.6
    np.testing.assert_allclose(inputs[:, :, :2], np.where(turned, -1.0, 1.0)[:, None, None]
                               * np.ones((200, 4, 2)))
    np.testing.assert_array_equal(inputs[:, :, 2], np.where(turned, -0.5, 0.5)[:, None]
                                  * np.ones((200, 4)))
    valid = targets["next_valid"][..., None] * np.ones(2)
    np.testing.assert_allclose(targets["z"] * valid,
                               valid * np.where(turned, -1.0, 1.0)[:, None, None])
