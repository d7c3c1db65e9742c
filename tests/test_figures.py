"""Every figure and film of a finished run, what is skipped and said, and what is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from PIL import Image
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageSequence import Iterator
from PIL.WebPImagePlugin import WebPImageFile

from worldmodels_repro.cli import main
from worldmodels_repro.config import load_config
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.errors import UserError
from worldmodels_repro.figures.curves import draw_memory_curves
from worldmodels_repro.figures.style import in_style, save
from worldmodels_repro.policies.policy import EachEpisode
from worldmodels_repro.policies.random import UniformlyRandom
from worldmodels_repro.report import sample
from worldmodels_repro.report.held_out import held_out_episode, moments
from worldmodels_repro.report.layout import spread_out
from worldmodels_repro.run import Run
from worldmodels_repro.seeds import episode_seed
from worldmodels_repro.stages import figures
from worldmodels_repro.stages.figures import FIGURES, FILMS
from worldmodels_repro.storage import load_json, load_npz, save_json
from worldmodels_repro.watch import animation
from worldmodels_repro.watch.film import record
from worldmodels_repro.worlds.agent import load_agent


@pytest.fixture(scope="module")
def drawn(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the finished run whose figures have been drawn, with short films."""
    run = tmp_path_factory.mktemp("figures") / "run"
    shutil.copytree(tiny_run, run, ignore=shutil.ignore_patterns("figures"))
    _draw(run)
    return run


# What evolved has not learnt, and the tiny run has no network that predicts frames.
# Nor does it share its V, or have agents of several temperatures.
DRAWN = [name for name in FIGURES if name not in ("learning", "forward_frames", "assets",
                                                  "ablations", "temperatures")]
FRAMES = ("reconstructions", "dream_frames", "film_strip")


def _pictures(path: Path) -> np.ndarray:
    """Every picture of an animation, (n, H, W, 3) uint8."""
    with Image.open(path) as film:
        return np.stack([np.asarray(frame.convert("RGB")) for frame in Iterator(film)])


def _draw(run: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "MAX_STEPS", 60)
        patch.setattr(sample, "STEPS", 60)
        patch.setattr(sample, "RANDOM_STEPS", 20)
        assert main(["figures", "--run", str(run)]) == 0


@pytest.mark.parametrize("name", DRAWN)
def test_figure_is_there(drawn: Path, name: str) -> None:
    with Image.open(drawn / "figures" / f"{name}.png") as file:
        picture = np.asarray(file.convert("RGB"))
    height, width = picture.shape[:2]
    assert width in (990, 2100)  # a column, or both, at 300 dpi
    assert height > 300
    assert picture.std() > 5
    # Nothing is cut off: the outermost pixels are paper, but for frames that reach the edge.
    if name not in FRAMES:
        edge = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
        assert (edge > 250).all()


def _plain(value: Any) -> bool:
    """Whether a table holds nothing but numbers, words, and arrays of numbers."""
    if isinstance(value, dict):
        return all(type(name) is str and _plain(inner) for name, inner in value.items())
    if isinstance(value, list):
        return all(map(_plain, value))
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "iuf"
    return value is None or type(value) in (bool, int, float, str)


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_is_drawn_from_its_table_alone(drawn: Path, tmp_path: Path, name: str) -> None:
    """Tables of numbers draw the same pixels after they have been JSON."""
    figure = FIGURES[name]
    table = figure.table(Run(drawn, load_config(drawn / "config.yaml")))
    assert _plain(table)
    if name not in (*FRAMES, "latents", "mixtures"):  # those hold arrays
        table = json.loads(json.dumps(table, allow_nan=False))
    with in_style():
        save(figure.draw(table), tmp_path, name)
    file = f"{name}.png"
    assert (tmp_path / file).read_bytes() == (drawn / "figures" / file).read_bytes()


@pytest.mark.parametrize(("heads", "labels"), [
    ((), ["NLL"]), (("endings",), ["NLL", "endings"]), (("reward",), ["NLL", "reward"]),
    (("endings", "reward"), ["NLL", "endings", "reward"])])
def test_a_head_that_memory_lacks_has_no_panel(heads: tuple[str, ...], labels: list[str]) -> None:
    figure = draw_memory_curves({
        "step": [10, 20], "nll": {"training": [2.0, 1.0], "held_out": [2.5, 1.5]},
        "endings": {"recall": [None, 0.5], "precision": [None, 1.0]} if "endings" in heads
        else None,
        "reward": {"training": [0.2, 0.1], "held_out": [0.3, 0.2]} if "reward" in heads
        else None})
    assert len(figure.axes) == len(labels)
    assert all(label in ax.get_ylabel() for label, ax in zip(labels, figure.axes, strict=True))


# What each committed run has no data for.
LACKS = {"carracing": {"learning", "forward_frames", "assets", "temperatures"},
         "doom": {"learning", "forward_frames", "assets", "ablations"}}


@pytest.mark.parametrize("run", ["carracing", pytest.param("doom", marks=pytest.mark.slow)])
def test_a_clone_draws_every_figure_whole_in_every_style(run: str) -> None:
    """Without rollouts and latents; and nothing is cut off at an edge."""
    path = Path(__file__).parents[1] / "logs" / run
    clone = Run(path, load_config(path / "config.yaml"))
    assert not any((path / "latents").glob("*.npz"))
    for name, drawing in FIGURES.items():
        if name in LACKS[run]:
            with pytest.raises(UserError):
                drawing.table(clone)
            continue
        table = drawing.table(clone)
        for style in ("paper", "slides"):
            with in_style(style):
                figure = drawing.draw(table)
                figure.draw_without_rendering()
                box = figure.get_tightbbox()  # inches
                width, height = figure.get_size_inches()
            assert box.x0 > -0.02 and box.x1 < width + 0.02, (name, style)
            assert box.y0 > -0.02 and box.y1 < height + 0.02, (name, style)


@pytest.mark.parametrize(("style", "size"), [("paper", (990, None)), ("slides", (1920, 1080))])
def test_a_style_draws_into_a_folder_of_its_own(drawn: Path, tmp_path: Path, style: str,
                                                size: tuple[int, int | None],
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    shutil.copytree(drawn, run)
    before = {path.name: path.read_bytes() for path in (run / "figures").iterdir()}
    monkeypatch.setattr(figures, "FIGURES", {name: FIGURES[name] for name in
                                             ("evaluation", "costs", "learning")})
    assert main(["figures", "--run", str(run), "--style", style]) == 0
    folder = run / "figures" / style
    names = {f"{name}.{kind}" for name in ("evaluation", "costs") for kind in ("png", "svg")}
    assert {path.name for path in folder.iterdir()} == names
    with Image.open(folder / "costs.png") as picture:
        assert picture.width == size[0] and size[1] in (None, picture.height)
    svg = (folder / "costs.svg").read_text()
    assert ">rollouts</text>" in svg and "dc:date" not in svg
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert main(["figures", "--run", str(run), "--style", style]) == 0
    assert first == {path.name: path.read_bytes() for path in folder.iterdir()}
    assert before == {path.name: path.read_bytes() for path in (run / "figures").iterdir()
                      if path.is_file()}


def test_an_unknown_style_is_refused(drawn: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["figures", "--run", str(drawn), "--style", "poster"]) == 2
    assert "'paper', 'slides'" in capsys.readouterr().err


def test_cs_map_is_its_weights(drawn: Path) -> None:
    run = Run(drawn, load_config(drawn / "config.yaml"))
    table, agent = FIGURES["controller"].table(run), load_agent(drawn)
    assert table["actions"] == ["steering", "gas", "brake"]
    rng = np.random.default_rng(0)
    seen = {name: rng.normal(size=len(part[0])) for name, part in table["parts"].items()}
    assert list(seen) == ["z", "h"]
    added = sum(np.array(part) @ seen[name] for name, part in table["parts"].items())
    acted = agent.body.shape.act(agent.weights[None], np.concatenate(list(seen.values()))[None])
    np.testing.assert_allclose(np.tanh(added + table["bias"]), acted[0], atol=1e-5)


def test_a_mixtures_density_is_one(drawn: Path) -> None:
    table = FIGURES["mixtures"].table(Run(drawn, load_config(drawn / "config.yaml")))
    for values, density in zip(table["values"], table["density"], strict=True):
        mass = np.trapezoid(density, values, axis=1)
        assert (mass > 0.9).all() and (mass < 1.01).all()  # but for tails


def test_the_architectures_sizes_are_the_weights(drawn: Path) -> None:
    table = FIGURES["architecture"].table(Run(drawn, load_config(drawn / "config.yaml")))
    for name, file in (("V", "vae/weights.npz"), ("M", "memory/weights.npz"),
                       ("C", "evolve/agent.npz")):
        arrays = load_npz(drawn / file)
        kept = arrays.values() if name != "C" else [arrays["weights"]]
        assert table["parameters"][name] == sum(array.size for array in kept)


def test_tables_are_read_without_what_draws_them() -> None:
    code = ("import importlib, pkgutil, sys; from worldmodels_repro import report\n"
            "names = [each.name for each in pkgutil.iter_modules(report.__path__)]\n"
            "for name in names: importlib.import_module(f'{report.__name__}.{name}')\n"
            "print(len(names), {'matplotlib', 'sklearn'} & set(sys.modules))")
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    count, loaded = told.stdout.split(maxsplit=1)
    assert int(count) > 5 and loaded == "set()\n"


@pytest.mark.parametrize("name", [*FILMS, "dream"])
def test_film_moves_and_is_small(drawn: Path, name: str) -> None:
    path = drawn / "figures" / f"{name}.webp"
    assert path.stat().st_size < animation.LIMIT
    pictures = _pictures(path)
    assert len(pictures) >= 3
    assert pictures[0].std() > 5
    assert (pictures[0] != pictures[-1]).mean() > 0.05


def test_figures_leave_nothing_else_behind(drawn: Path) -> None:
    names = {path.name for path in (drawn / "figures").iterdir()}
    assert names == {"sample.npz", *(f"{name}.png" for name in DRAWN),
                     *(f"{name}.webp" for name in (*FILMS, "dream"))}


@pytest.mark.slow
def test_a_redraw_is_not_refused_and_gives_the_same_files(drawn: Path) -> None:
    before = {path.name: path.read_bytes() for path in (drawn / "figures").iterdir()}
    _draw(drawn)
    after = {path.name: path.read_bytes() for path in (drawn / "figures").iterdir()}
    assert before.keys() == after.keys()
    assert [name for name in before if before[name] != after[name]] == []


def test_what_is_missing_is_skipped_with_a_line(
        tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "part"
    shutil.copytree(tiny_run, run)
    for stage in ("figures", "latents", "memory", "evolve", "evaluate"):
        shutil.rmtree(run / stage, ignore_errors=True)
    _draw(run)
    said = capsys.readouterr().err.splitlines()
    for name in ("latents", "memory_curves", "predictions", "dream_frames", "generations",
                 "evaluation", "halfway", "final", "sample"):
        lines = [line for line in said if line.startswith(f"figures: {name}: skipped, ")]
        assert len(lines) == 1, said
        assert str(run) in lines[0]
    made = {path.name for path in (run / "figures").iterdir()}
    assert made == {"vae_curves.png", "reconstructions.png", "costs.png", "random.webp"}


def test_a_broken_file_costs_its_own_figure_alone(
        tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "broken"
    shutil.copytree(tiny_run, run)
    for stage in ("figures", "rollouts", "latents", "memory", "evolve"):
        shutil.rmtree(run / stage, ignore_errors=True)
    (run / "vae" / "reconstructions.npz").write_bytes(b"PK\x03\x04 cut")
    _draw(run)
    assert "reconstructions: skipped" in capsys.readouterr().err
    assert (run / "figures" / "evaluation.png").exists()


@pytest.mark.parametrize("with_config", [False, True])
def test_empty_run_is_refused(tiny_run: Path, tmp_path: Path, with_config: bool,
                              capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "empty"
    run.mkdir()
    if with_config:
        shutil.copy(tiny_run / "config.yaml", run)
    assert main(["figures", "--run", str(run), "--config", str(tiny_run / "config.yaml")]) == 2
    refusal = capsys.readouterr().err.splitlines()[-1]
    assert refusal.startswith("worldmodels: ") and "type worldmodels rollouts" in refusal
    assert not (run / "figures").exists()


def test_results_say_what_a_run_came_to(drawn: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["results", "--run", str(drawn)]) == 0
    said = capsys.readouterr().out
    mean = load_json(drawn / "evaluate" / "evaluation.json", dict)["results"]["agent"]["mean"]
    assert f"{mean:.1f}" in said
    for words in ("rollouts", "gradient steps", "generations", "final.webp", "latents"):
        assert words in said


def test_results_want_an_evaluation(tiny_run: Path, tmp_path: Path,
                                    capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "young"
    run.mkdir()
    shutil.copy(tiny_run / "config.yaml", run)
    assert main(["results", "--run", str(run)]) == 2
    assert "worldmodels evaluate" in capsys.readouterr().err


def test_random_film_scores_what_the_judge_scored(tiny_run: Path, tmp_path: Path) -> None:
    """Same track, same actions: filming changes nothing."""
    run = Run(tiny_run, load_config(tiny_run / "config.yaml"))
    judged = load_json(tiny_run / "evaluate" / "evaluation.json", dict)["episodes"]["random"][0]
    seed = episode_seed(run.config.evaluate.seed, "evaluation", 0)
    assert judged["seed"] == seed
    policy = EachEpisode(partial(UniformlyRandom, game_named(run.config.game)))
    film = record(run, policy, seed, tmp_path / "film.webp", judged["steps"], "random")
    assert film.steps == judged["steps"]
    assert film.score == pytest.approx(judged["score"], abs=1e-3)


def test_memory_in_numpy_is_the_trained_one(tiny_run: Path) -> None:
    """Step by step in NumPy, M expects what the Keras model expects."""
    from worldmodels_repro.models.mdn_rnn.mdn_rnn import compiled_mdn_rnn
    from worldmodels_repro.models.weights import load_weights, set_weights

    run = Run(tiny_run, load_config(tiny_run / "config.yaml"))
    episode = held_out_episode(run)
    model = compiled_mdn_rnn(run.config.memory, run.config.vae.z, 3, 0)
    set_weights(model, load_weights(tiny_run / "memory" / "weights.npz"))
    inputs = np.concatenate([episode.z, episode.actions], axis=1)[None]
    parts = model.split(model(inputs))[:3]
    mean, deviation = moments(*(np.asarray(part)[0] for part in parts))
    ours = episode.expected(0, len(episode.z))
    np.testing.assert_allclose(ours[0], mean, atol=1e-4)
    np.testing.assert_allclose(ours[1], deviation, atol=1e-4)


def test_held_out_episode_was_held_out(tiny_run: Path) -> None:
    run = Run(tiny_run, load_config(tiny_run / "config.yaml"))
    episode = held_out_episode(run)
    facts = load_json(tiny_run / "memory" / "stage.json", dict)["facts"]
    assert episode.name in facts["held_out_episodes"]
    latents = load_npz(tiny_run / "latents" / f"{episode.name}.npz")
    np.testing.assert_array_equal(episode.mu, latents["mu"].astype(np.float32))
    assert episode.first + episode.steps < len(episode.mu)


def test_moments_are_those_of_draws() -> None:
    rng = np.random.default_rng(0)
    weights, mu, sigma = np.array([0.3, 0.7]), np.array([-1.0, 2.0]), np.array([0.5, 1.5])
    picked = rng.choice(2, 400_000, p=weights)
    draws = rng.normal(mu[picked], sigma[picked])
    mean, deviation = moments(np.log(weights), mu, np.log(sigma))
    assert float(mean) == pytest.approx(draws.mean(), abs=0.01)
    assert float(deviation) == pytest.approx(draws.std(), abs=0.01)


def test_thumbnails_do_not_hide_each_other() -> None:
    points = np.random.default_rng(0).normal(size=(500, 2))
    picked, side = spread_out(points, 20)
    assert len(set(picked.tolist())) == 20
    apart = np.abs(points[picked][:, None] - points[picked][None]).max(axis=-1)
    assert apart[~np.eye(20, dtype=bool)].min() >= side - 1e-12


@pytest.mark.parametrize("suffix", [".webp", ".gif"])
def test_large_animation_is_thinned_until_it_fits(tmp_path: Path, suffix: str,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(animation, "LIMIT", 20_000)
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (40, 60, 3), np.uint8) for _ in range(30)]
    path = tmp_path / f"noise{suffix}"
    animation.write_animation(path, noise, 100)
    assert path.stat().st_size < 20_000
    with Image.open(path) as film:
        assert film.format == suffix[1:].upper()
        assert isinstance(film, GifImageFile | WebPImageFile)
        assert 2 <= film.n_frames < 30


def test_an_animation_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"\.webp or \.gif"):
        animation.write_animation(tmp_path / "film.mp4", [np.zeros((8, 8, 3), np.uint8)] * 2, 100)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("purpose", ["evaluation", "dream"])
def test_the_filmed_episode_is_the_median_one(tiny_run: Path, tmp_path: Path,
                                              purpose: Literal["evaluation", "dream"]) -> None:
    run = Run(tmp_path, load_config(tiny_run / "config.yaml"))
    assert figures._typical(run, purpose) == episode_seed(run.config.evaluate.seed, purpose, 0)
    judged = load_json(tiny_run / "evaluate" / "evaluation.json", dict)
    episodes = [{"seed": seed, "score": score, "steps": 1}
                for seed, score in ((1, 9.0), (2, -5.0), (3, 700.0), (4, 8.0))]
    judged["episodes"]["agent"] = episodes if purpose == "evaluation" else []
    judged["dream"] = {"temperature": 1.0, "results": {}, "episodes": {"agent": episodes}}
    path = run.folder("evaluate") / "evaluation.json"
    save_json(path, judged)
    assert figures._typical(run, purpose) == 4
