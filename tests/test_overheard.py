"""Dreams of several Ms: whose they are, and what C's own M makes of them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import command
from test_dream import arrays, small_dream

from worldmodels_repro.config import load_config
from worldmodels_repro.errors import UserError
from worldmodels_repro.models.mdn_rnn.forward import MdnRnn
from worldmodels_repro.models.overheard import Overheard
from worldmodels_repro.models.weights import load_weights
from worldmodels_repro.storage import load_csv
from worldmodels_repro.worlds.dream import DreamWorld, load_dream


def minds(count: int) -> list[MdnRnn]:
    """Ms of random weights, told of restarts; endings are rare."""
    found = []
    for seed in range(count):
        weights = arrays(4, 4, 16, 1, seed)  # three numbers of an action, and the restart
        weights["mdn/bias"][60:] = -2.0
        found.append(MdnRnn(weights=weights, z=4, done=True, restart_input=True))
    return found


def test_each_dream_is_one_ms_and_cs_own_follows_it() -> None:
    own, *dreamers = minds(4)
    heard = Overheard(own=own, dreamers=tuple(dreamers))
    assert heard.sizes == own.sizes
    assert heard.scores
    rng = np.random.default_rng(1)
    listening, beside = heard.dream(9, 1.0), own.follow(9)
    alone = [memory.dream(9, 1.0) for memory in dreamers]
    start = rng.normal(size=(9, 4)).astype(np.float32)
    for row in range(9):
        listening.wake(row, start[row], np.random.default_rng(row + 40))
        beside.reset(row)
        for mind in alone:
            mind.wake(row, start[row], np.random.default_rng(row + 40))
    seen = start
    whose = np.ones((3, 9), bool)
    for _ in range(6):
        actions = rng.normal(size=(9, 3)).astype(np.float32)
        draws = rng.random((9, 4), np.float32), rng.standard_normal((9, 4), np.float32)
        listening.step(actions, *draws)
        beside.step(seen, actions)
        for number, mind in enumerate(alone):
            mind.step(actions, *draws)
            assert listening.done is not None
            assert mind.done is not None
            whose[number] &= np.isclose(listening.z, mind.z[:9], atol=1e-5).all(axis=1)
            whose[number] &= np.isclose(listening.done, mind.done[:9], atol=1e-5)
        seen = listening.z.copy()
        for name in ("h", "c"):
            np.testing.assert_allclose(listening.state[name], beside.state[name], atol=1e-5)
    assert (whose.sum(axis=0) == 1).all()
    assert (whose.sum(axis=1) > 0).all()


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_a_dream_does_not_depend_on_its_neighbours(dropout: float) -> None:
    """Rows come to rest, move and wake again; a seed's dream is the same in all of that."""
    own, *dreamers = minds(3)
    dream = replace(small_dream(), dropout=dropout, inputs=("z", "h", "c"),
                    memory=Overheard(own=own, dreamers=tuple(dreamers)), ending_weight=1.0)

    def follow(world: DreamWorld, slot: int, seed: int, path: list[bytes]) -> bool:
        """A step of that slot's dream; whether it goes on."""
        path.append(world.features()[slot].tobytes())
        return bool(world.terminated[slot])

    alone: dict[int, list[bytes]] = {}
    for seed in range(30):
        world = DreamWorld(dream, 1)
        world.reset(0, seed)
        path: list[bytes] = []
        while True:
            ended = world.advance(np.full((1, 3), 0.1, np.float32))[1][0]
            follow(world, 0, seed, path)
            if ended:
                break
        alone[seed] = path
    world, waiting = DreamWorld(dream, 7), list(range(30))
    at: dict[int, int] = {}
    together: dict[int, list[bytes]] = {seed: [] for seed in waiting}
    for slot in range(7):
        at[slot] = waiting.pop(0)
        world.reset(slot, at[slot])
    while at:
        ended = world.advance(np.full((7, 3), 0.1, np.float32))[1].copy()
        for slot, seed in list(at.items()):
            follow(world, slot, seed, together[seed])
            if not ended[slot]:
                continue
            del at[slot]
            if waiting:
                at[slot] = waiting.pop(0)
                world.reset(slot, at[slot])
            else:
                world.rest(slot)
    assert together == alone
    assert len({len(path) for path in alone.values()}) > 5


def test_a_dream_of_another_m_starts_at_its_beginning() -> None:
    own, other = minds(2)
    listening = Overheard(own=own, dreamers=(other,)).dream(1, 1.0)
    with pytest.raises(ValueError, match="does not go on from the state of C's own"):
        listening.resume(0, np.zeros(4, np.float32), {})


# --- members of a run ---

def test_members_are_trained_each_in_its_folder_and_all_dream(tiny_run: Path,
                                                              tmp_path: Path) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    first = load_weights(run / "memory" / "weights.npz")
    result = command("memory", "--run", run, "--set", "memory.members=3")
    assert result.returncode == 0, result.stderr
    config = load_config(run / "config.yaml")
    memory = load_dream(run, config).memory
    assert isinstance(memory, Overheard)
    assert len(memory.dreamers) == 3
    assert memory.own is memory.dreamers[0]
    alone = load_dream(run, config, own=True).memory
    assert isinstance(alone, MdnRnn)
    for name, array in first.items():  # the one that was there stays
        np.testing.assert_array_equal(array, load_weights(run / "memory" / "weights.npz")[name])
    kernels = [one.weights["lstm/kernel"] for one in memory.dreamers if isinstance(one, MdnRnn)]
    assert len({kernel.tobytes() for kernel in kernels}) == 3
    for number in (2, 3):
        rows = load_csv(run / "memory" / f"member-{number}" / "history.csv", "step", "val_loss")
        assert rows[-1]["step"] == config.memory.steps
    shutil.rmtree(run / "memory" / "member-2")
    with pytest.raises(UserError, match="member-2"):
        load_dream(run, config)
