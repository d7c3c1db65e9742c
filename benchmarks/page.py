"""The article of a committed run: what it takes to make, to open, and to dream in."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.measure import Scale, in_process, peak_mib
from benchmarks.report import Row

LOGS = Path(__file__).parents[1] / "logs"
RUNS = {"car": "carracing_dream", "doom": "doom"}
# So many steps of dreams that the agent acts in, each of them drawn; their seconds.
DREAMS = """([count, steps]) => {
  const dreams = Array.from({length: count}, (_, i) => {
    const dream = new Dream(article.model, article.agent);
    dream.begin(i, article.about.engine.temperature);
    return {dream, picture: canvas("")};
  });
  const start = performance.now();
  for (let t = 0; t < steps; t++) for (const {dream, picture} of dreams) {
    if (dream.over) dream.begin(t, article.about.engine.temperature);
    dream.step(dream.choice());
    show(picture, dream.mind.z);
  }
  return (performance.now() - start) / 1000;
}"""
# Steps a second as the cover plays by itself.
LIVE = """async (seconds) => {
  const {step} = Dream.prototype;
  let steps = 0;
  Dream.prototype.step = function(action) { steps += 1; return step.call(this, action); };
  await new Promise((go) => { setTimeout(go, 1000 * seconds); });
  return steps / seconds;
}"""
OPENED = """() => [Number(document.documentElement.dataset.ready),
  performance.getEntriesByName("first-contentful-paint")[0].startTime]"""


def page(scale: Scale) -> list[Row]:
    """A page's seconds, bytes and dreams, in headless Chromium."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    rows = []
    for name, run in RUNS.items():
        with tempfile.TemporaryDirectory() as scratch:
            file = Path(scratch) / "index.html"
            seconds, peak = in_process(_make, run, file, one_core=False)
            rows += [Row(f"page.{name}.making", round(seconds, 1), "s to make it"),
                     Row(f"page.{name}.memory", round(peak), "MiB at the peak of making it"),
                     Row(f"page.{name}.size", round(file.stat().st_size / 1e6, 2), "MB")]
            if browser is None:
                rows.append(Row(f"page.{name}.ready", skipped="Chromium is not installed"))
                continue
            opened = [in_process(_open, browser, file, one_core=False)
                      for _ in range(scale.rounds)]
            ready, painted = (statistics.median(times) for times in zip(*opened, strict=True))
            live = in_process(_play, browser, file, scale.pick(10, 1), one_core=False)
            alone, nine = in_process(_dream, browser, file, scale.pick(300, 3), scale.rounds)
            rows += [Row(f"page.{name}.ready", round(ready), "ms until all of it works"),
                     Row(f"page.{name}.paint", round(painted), "ms until it is first painted"),
                     Row(f"page.{name}.live", round(live, 1), "steps/s as it plays by itself"),
                     Row(f"page.{name}.steps", round(alone, 1),
                         "steps/s of one dream, drawn, on one core"),
                     Row(f"page.{name}.nine", round(nine, 1),
                         "frames/s of nine dreams, drawn, on one core")]
    return rows


def _make(name: str, file: Path) -> tuple[float, float]:
    """Seconds, and MiB at the peak."""
    start = time.perf_counter()
    from worldmodels_repro.article.page import article
    from worldmodels_repro.config import load_config
    from worldmodels_repro.run import Run

    run = LOGS / name
    file.write_bytes(article([Run(run, load_config(run / "config.yaml"))]))
    return time.perf_counter() - start, peak_mib()


@contextmanager
def _opened(browser: str, file: Path, **options: Any) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        opened = chromium.new_page(**{"reduced_motion": "reduce", **options})
        opened.goto(file.as_uri())
        opened.wait_for_selector("html[data-drawn]", state="attached")
        yield opened
        chromium.close()


def _open(browser: str, file: Path) -> tuple[float, float]:
    """Milliseconds until the page is ready, and until it is painted, in a new browser."""
    with _opened(browser, file) as opened:
        ready, painted = opened.evaluate(OPENED)
    return float(ready), float(painted)


def _play(browser: str, file: Path, seconds: int) -> float:
    """Steps/s of the cover."""
    with _opened(browser, file, reduced_motion="no-preference") as opened:
        return float(opened.evaluate(LIVE, seconds))


def _dream(browser: str, file: Path, steps: int, rounds: int) -> tuple[float, float]:
    """Steps/s of one dream, frames/s of nine: medians over rounds."""
    with _opened(browser, file) as opened:
        alone, nine = ([steps / opened.evaluate(DREAMS, [count, steps]) for _ in range(rounds)]
                       for count in (1, 9))
    return statistics.median(alone), statistics.median(nine)
