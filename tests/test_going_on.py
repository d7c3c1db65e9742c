"""A run that goes on with another one's V as it is, and with its latents."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import TINY, command, refused

from worldmodels_repro.data.episodes import kept_episodes


def _words(verb: str, run: Path, *settings: str) -> tuple[object, ...]:
    return (verb, "--config", TINY, "--run", run,
            *(word for setting in settings for word in ("--set", setting)))


def test_v_stays_and_only_new_episodes_are_encoded(tiny_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    settings = (f"rollouts.keep={tiny_run}", "rollouts.policies={held: 1}", "vae.epochs=0",
                f"vae.start={tiny_run}")
    for verb in ("rollouts", "vae", "latents"):
        result = command(*_words(verb, run, *settings))
        assert result.returncode == 0, result.stderr
    for name in ("weights.npz", "history.csv", "reconstructions.npz"):
        assert (run / "vae" / name).read_bytes() == (tiny_run / "vae" / name).read_bytes()
    kept, there = (kept_episodes(place / "rollouts") for place in (tiny_run, run))
    assert set(there) - set(kept) == {"held-000002"}
    for name in there:
        latents = run / "latents" / f"{name}.npz"
        assert latents.exists()
        if name in kept:
            assert latents.samefile(tiny_run / "latents" / f"{name}.npz")


def test_latents_of_other_episodes_are_not_taken(tiny_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    settings = ("rollouts.policies={held: 1}", "seed=7", "vae.epochs=0", f"vae.start={tiny_run}")
    for verb in ("rollouts", "vae", "latents"):
        result = command(*_words(verb, run, *settings))
        assert result.returncode == 0, result.stderr
    name = "held-000000.npz"  # it has the name of another one there
    assert not (run / "latents" / name).samefile(tiny_run / "latents" / name)


@pytest.mark.parametrize(("settings", "said"), [
    (["vae.epochs=0"], "set vae.start to that run"),
    (["vae.epochs=0", "vae.start={run}", "vae.z=8"], "set vae.z=32")])
def test_a_v_that_is_not_there_is_refused(tiny_run: Path, tmp_path: Path, settings: list[str],
                                          said: str) -> None:
    words = [setting.format(run=tiny_run) for setting in settings]
    run, episodes = tmp_path / "run", "rollouts.policies={held: 2}"
    assert command(*_words("rollouts", run, episodes)).returncode == 0
    assert said in refused(command(*_words("vae", run, episodes, *words)))
