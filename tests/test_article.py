"""The page of a run, without a browser: what it holds, says, and costs to make."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import signal
import subprocess
import sys
from html import unescape
from pathlib import Path
from urllib.request import urlopen
from xml.etree import ElementTree

import pytest
from conftest import command, refused

from worldmodels_repro.article import svg
from worldmodels_repro.article.page import article, write_article
from worldmodels_repro.article.sections import SECTIONS
from worldmodels_repro.config import load_config
from worldmodels_repro.run import Run
from worldmodels_repro.statistics import summary
from worldmodels_repro.storage import save_json

LOGS = Path(__file__).parents[1] / "logs"
DREAM = LOGS / "carracing_dream"


def _run(path: Path) -> Run:
    return Run(path, load_config(path / "config.yaml"))


@pytest.fixture(scope="module")
def page() -> str:
    """CarRacing's, compared with the run that evolved in the game and with an ablation."""
    return article([_run(LOGS / name) for name in ("carracing_dream", "carracing", "carracing_z")
                    ]).decode()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A committed run that stages can be taken from."""
    run = tmp_path / "some"
    shutil.copytree(DREAM, run, ignore=shutil.ignore_patterns("*.webp", "*.png"))
    return run


def _sections(page: str) -> dict[str, str]:
    return {name: unescape(inside) for name, inside in re.findall(
        r'<section id="(\w+)"(.*?)</section>', page, re.DOTALL)}


def test_every_section_is_there_and_none_lacks_a_thing(page: str) -> None:
    there = _sections(page)
    assert list(there) == [section.name for section in SECTIONS if section.name != "temperatures"]
    assert "missing" not in "".join(there.values())
    assert not re.search(r"\$\w|\bNone\b|\bnan\b", "".join(there.values()))


def test_the_same_runs_make_the_same_bytes(page: str) -> None:
    again = article([_run(LOGS / name) for name in ("carracing_dream", "carracing", "carracing_z")])
    assert again.decode() == page


def test_the_page_keeps_to_its_budget(page: str) -> None:
    assert len(page.encode()) <= 4_000_000


def test_nothing_is_asked_for_from_anywhere(page: str) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None and policy[1].startswith("default-src 'none'; ")
    assert "unsafe-inline" not in policy[1] and "http" not in policy[1]
    for kind, tag in (("script", "<script>"), ("style", "<style>")):
        inside = page.partition(tag)[2].partition(f"</{kind}>")[0]
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy[1]
    assert re.findall(r'(?:src|href)="(?!#)([^"]*)"', page) == [
        "data:,", "https://worldmodels.github.io"]
    assert not re.search(r"\b(fetch|XMLHttpRequest|importScripts|import)\(", page)
    assert " style=" not in page  # the policy would drop it


def test_the_numbers_are_the_runs_own(page: str) -> None:
    there = _sections(page)
    for number in (">684<", ">906<", "648 to 717"):
        assert number in there["claim"]
    assert "M's dream alone" in there["claim"]
    for cell in ("<td>919</td>", "<td>684</td>", "<td>z</td>", "<td>z, h</td>"):
        assert cell in there["results"]
    assert "30,535,546 steps" in there["costs"]
    about = json.loads(page.partition('id="about">')[2].partition("</script>")[0])
    assert about["generations"] == [10, 20, 30]


def test_a_dream_without_heads_says_what_it_lacks() -> None:
    there = _sections(article([_run(LOGS / "carracing")]).decode())
    assert "neither rewards nor endings" in there["dream"]


@pytest.mark.parametrize(("gone", "stage", "sections"), [
    ("evaluation", "evaluate", ("claim", "results")),
    ("evolve", "evolve", ("cover", "dream", "vision", "evolution", "steering", "map", "quiz")),
    ("memory", "memory", ("cover", "dream", "memory", "futures")),
])
def test_what_is_missing_is_named_with_what_to_type(copy: Path, gone: str, stage: str,
                                                    sections: tuple[str, ...]) -> None:
    shutil.rmtree(copy / gone)
    there = _sections(article([_run(copy)]).decode())
    for name in sections:
        assert 'class="missing"' in there[name], name
        assert f"type worldmodels {stage} --run {copy}" in there[name], there[name]
    assert "canvas" not in there[sections[0]]


def test_agents_of_several_temperatures_have_a_section(tmp_path: Path) -> None:
    run = tmp_path / "doom"
    shutil.copytree(LOGS / "doom", run, ignore=shutil.ignore_patterns("vae", "figures"))
    about = json.loads((run / "evaluate" / "evaluation.json").read_text())
    rows = [{"temperature": temperature, "generations": 10, "chosen": 10,
             "dream": summary([dream] * 3), "real": summary([real] * 3)}
            for temperature, dream, real in ((0.5, 2068.0, 766.0), (1.3, 1243.0, 763.0))]
    save_json(run / "evaluate" / "temperatures.json", {
        name: about[name] for name in ("environment", "unmodified", "versions")}
        | {"temperatures": rows, "random": about["results"]["random"]})
    there = _sections(article([_run(run)]).decode())
    assert "in its dream" in there["temperatures"] and "in the game" in there["temperatures"]
    assert "canvas" not in there["dream"]  # without V nothing dreams


def test_runs_of_two_games_are_not_compared(page: str) -> None:
    there = _sections(article([_run(DREAM), _run(LOGS / "doom")]).decode())
    assert "was judged on VizdoomTakeCover-v1: give each game a page of its own" in there["results"]


def test_the_verb_writes_one_file_and_refuses_what_is_no_run(copy: Path, tmp_path: Path) -> None:
    result = command("report", "--run", copy, "--run", LOGS / "carracing")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"{copy}/report/index.html: ")
    assert [path.name for path in (copy / "report").iterdir()] == ["index.html"]
    told = refused(command("report", "--run", copy, "--run", tmp_path / "none"))
    assert "none holds no run (no config.yaml)" in told
    assert "--run" in refused(command("report"))


def test_the_page_is_served_until_one_has_seen_enough(copy: Path) -> None:
    words: list[str | Path] = [sys.executable, "-m", "worldmodels_repro.cli", "report",
                               "--run", copy, "--serve"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True) as server:
        assert server.stdout is not None
        server.stdout.readline()
        address = server.stdout.readline().partition(",")[0]
        with urlopen(address) as answer:
            assert answer.read() == (copy / "report" / "index.html").read_bytes()
        server.send_signal(signal.SIGTERM)  # SIGINT may be ignored where tests run
        assert server.wait(20) == 0


def test_a_page_is_made_without_tensorflow_in_little_memory(copy: Path) -> None:
    code = ("import sys; from pathlib import Path\n"
            "from worldmodels_repro.article.page import write_article\n"
            f"write_article([Path({str(copy)!r})])\n"
            "heavy = {'tensorflow', 'keras', 'matplotlib', 'sklearn'} & set(sys.modules)\n"
            "status = Path('/proc/self/status').read_text()\n"
            "print(heavy, status.split('VmHWM:')[1].split()[0])")
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy, kilobytes = told.stdout.rsplit(maxsplit=1)
    assert heavy == "set()" and int(kilobytes) < 1_500_000


def test_figures_are_whole_and_always_the_same(page: str) -> None:
    figures = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(figures) == 3
    for figure in figures:
        root = ElementTree.fromstring(figure)
        assert root.get("role") == "img" and root.get("aria-label")
        assert any(text.text for text in root.iter("text"))
        width = float(str(root.get("viewBox")).split()[2])
        for text in root.iter("text"):  # an upper bound for the width of a letter
            length = 6.6 * len(text.text or "")
            before = {"start": 0, "middle": 0.5, "end": 1}[str(text.get("text-anchor"))]
            left = float(str(text.get("x"))) - length * before
            assert left >= -1 and left + length <= width + 14, text.text


@pytest.mark.parametrize(("low", "high", "expected"), [
    (0, 10, [0, 2, 4, 6, 8, 10]), (-35, 940, [0, 200, 400, 600, 800]),
    (0.97, 1.0, [0.97, 0.98, 0.99, 1.0])])
def test_ticks_are_round_numbers(low: float, high: float, expected: list[float]) -> None:
    assert svg.ticks(low, high) == pytest.approx(expected)


def test_a_plot_puts_points_where_they_belong() -> None:
    plot = svg.Plot("a line", (0, 10), (0, 1), ("x", "y"))
    assert plot.across(0) == plot.LEFT and plot.across(10) == svg.WIDTH - plot.RIGHT
    assert plot.up(1) == plot.TOP and plot.up(0.5) == pytest.approx((plot.up(0) + plot.up(1)) / 2)
    plot.line([(0, 0.0), (5, None), (10, 1.0)], "agent", "it")
    assert f"M{plot.LEFT}.0 {plot.up(0):.1f}L{svg.WIDTH - plot.RIGHT}.0 {plot.TOP}.0" in plot.svg()
    assert svg.number(-31.64) == "\N{MINUS SIGN}31.6" and svg.number(30535.0) == "30,535"


def test_a_name_is_text_and_nothing_else(tmp_path: Path) -> None:
    odd = tmp_path / "<b>&odd"
    shutil.copytree(DREAM, odd, ignore=shutil.ignore_patterns("*.webp", "*.png", "vae"))
    page = write_article([odd]).read_text()
    assert "<b>&odd" not in page and "&lt;b&gt;&amp;odd" in page
