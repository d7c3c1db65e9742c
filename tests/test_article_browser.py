"""The page in headless Chromium: it draws, obeys, repeats itself, and asks for nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from worldmodels_repro.article.page import article
from worldmodels_repro.config import load_config
from worldmodels_repro.policies.agent import Controllers
from worldmodels_repro.run import Run
from worldmodels_repro.worlds.agent import load_agent
from worldmodels_repro.worlds.dream import DreamWorld, load_dream

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
if BROWSER is None:
    pytest.skip("Chromium is not installed: apt-get install chromium", allow_module_level=True)
sync_api = pytest.importorskip("playwright.sync_api",
                               reason="playwright is not installed: pip install -e '.[dev]'")
LOGS = Path(__file__).parents[1] / "logs"
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of a committed run, as a file of its own."""
    runs = [Run(LOGS / name, load_config(LOGS / name / "config.yaml"))
            for name in ("carracing_dream", "carracing")]
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_bytes(article(runs))
    return path.as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def _pages(browser: Any, file: str) -> Iterator[Open]:
    """Opens pages; at the end nothing may have been said on the console, or asked for."""
    contexts, said, asked = [], [], []

    def open_page(fragment: str = "", **options: Any) -> Any:
        context = browser.new_context(**{"reduced_motion": "reduce", **options})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(file + fragment)
        page.wait_for_selector("html[data-ready]", state="attached")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []
    assert {url.partition("#")[0] for url in asked} <= {file, "data:,"}


@pytest.fixture
def open_page(browser: Any, file: str) -> Iterator[Open]:
    with _pages(browser, file) as open_page:
        yield open_page


@pytest.fixture(scope="module")
def calm(browser: Any, file: str) -> Iterator[Any]:
    """One page for all tests that only ask; nothing moves on it by itself."""
    with _pages(browser, file) as open_page:
        yield open_page()


# A dream of this page, acted on by keys that are known beforehand: latents by step.
DREAMT = """([seed, temperature, masks]) => {
  const dream = new Dream(article.model, article.agent);
  dream.begin(seed, temperature);
  return masks.map((mask) => {
    dream.step(mask === null ? dream.choice() : pressedBy(mask));
    return Array.from(dream.mind.z);
  });
}"""
LEFT, RIGHT, UP = 1, 2, 4
PICTURE = "(canvas) => canvas.toDataURL()"


def test_every_section_draws(calm: Any) -> None:
    page = calm
    page.wait_for_selector("html[data-drawn]", state="attached")
    flat = page.evaluate("""() => [...document.querySelectorAll("canvas")].filter((canvas) => {
      const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      return new Set(new Uint32Array(data.buffer)).size < 20;
    }).map((canvas) => canvas.getAttribute("aria-label"))""")
    assert flat == []
    assert page.locator("section").count() == 13
    assert page.locator(".missing").count() == 0
    assert page.evaluate("Number(document.documentElement.dataset.ready)") > 0


def test_a_seed_is_pythons_dream(calm: Any) -> None:
    config = load_config(LOGS / "carracing_dream" / "config.yaml")
    config = config.model_copy(update={"evolve": config.evolve.model_copy(
        update={"precision": "f32"})})
    agent = load_agent(LOGS / "carracing_dream")
    world = DreamWorld(load_dream(LOGS / "carracing_dream", config), 1)
    policy = Controllers(agent.body, agent.weights[None], 1)
    policy.reset(0, 7, 0)
    world.reset(0, 7)
    rows = []
    for _ in range(50):
        world.advance(policy.act(world.features()))
        rows.append(world.latents()[0].copy())
    dreamt = calm.evaluate(DREAMT, [7, 1.0, [None] * 50])
    np.testing.assert_allclose(dreamt, np.stack(rows), atol=1e-3)


def test_keys_steer_and_the_same_keys_are_the_same_dream(calm: Any) -> None:
    left, again, right = (np.array(calm.evaluate(DREAMT, [3, 1.0, [key | UP] * 60]))
                          for key in (LEFT, LEFT, RIGHT))
    np.testing.assert_array_equal(left, again)
    assert np.abs(left[-1] - right[-1]).mean() > 0.1


def test_a_slider_changes_what_v_draws(calm: Any) -> None:
    picture = calm.locator("#vision .now")
    before = picture.evaluate(PICTURE)
    calm.locator("#vision .some input").first.evaluate("(input) => { "
        "input.value = input.max; input.dispatchEvent(new Event('input')); }")
    calm.wait_for_timeout(200)
    assert picture.evaluate(PICTURE) != before


def test_temperature_widens_the_spread(calm: Any) -> None:
    spreads = calm.evaluate("""() => [0.1, 1, 2].map((temperature) => {
      const {z, h, c} = along()[20];
      const dreams = Array.from({length: 9}, (_, i) => {
        const dream = new Dream(article.model, article.agent);
        dream.resume(i, temperature, z, h, c);
        for (let t = 0; t < 15; t++) dream.step(along()[20 + t].action);
        return {dream};
      });
      return spreadOf(dreams);
    })""")
    assert spreads[0] < spreads[1] < spreads[2]


def test_a_link_plays_again_what_a_person_did(open_page: Open) -> None:
    page = open_page("#seed=7&t=0.8&a=5x12.2x9.gx5")
    assert page.locator("#dream input[type=number]").input_value() == "7"
    page.wait_for_selector("#dream .told:has-text('step 3')")
    shown = page.evaluate("""() => {
      const {dream, record} = article.live;
      return [dream.steps, Array.from(dream.mind.z), record()];
    }""")
    masks = [LEFT | UP] * 12 + [RIGHT] * 9 + [None] * (shown[0] - 21)
    assert shown[1] == page.evaluate(DREAMT, [7, 0.8, masks])[-1]
    assert shown[2].startswith("5x12.2x9.gx")


def test_arrows_take_the_wheel_and_escape_gives_them_back(open_page: Open) -> None:
    page = open_page(reduced_motion="no-preference")
    page.wait_for_selector("#cover .told:has-text('the agent plays')")
    page.keyboard.down("ArrowLeft")
    page.wait_for_selector("#cover .told:has-text('you play')")
    page.keyboard.up("ArrowLeft")
    page.wait_for_selector("#cover .told:has-text('the agent plays')")
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowDown")
    page.wait_for_timeout(400)
    assert page.evaluate("scrollY") > 0


def test_everything_can_be_reached_by_keyboard_alone(open_page: Open) -> None:
    page = open_page(viewport={"width": 1200, "height": 800})
    page.evaluate("""() => {
      globalThis.wanted = new Set([...document.querySelectorAll(
        `button, input, select, a[href], summary, [tabindex="0"]`,
      )].filter((element) => element.checkVisibility()));
      document.addEventListener("focusin", (event) => wanted.delete(event.target));
    }""")
    for _ in range(page.evaluate("wanted.size") + 5):
        page.keyboard.press("Tab")
    assert page.evaluate("[...wanted].map((element) => element.outerHTML)") == []
    page.locator("#dream .stage").focus()
    page.keyboard.down("ArrowRight")
    page.wait_for_selector("#dream button:has-text('You play')")
    page.keyboard.up("ArrowRight")


def test_nothing_moves_where_less_motion_is_asked_for(open_page: Open) -> None:
    page = open_page()
    before = page.locator("#cover canvas").evaluate(PICTURE)
    page.wait_for_timeout(400)
    assert page.locator("#cover canvas").evaluate(PICTURE) == before
    page.locator("#cover button:has-text('Play')").click()
    page.wait_for_selector("#cover .told:has-text('step')")


def test_the_map_dreams_on_from_a_moment(open_page: Open) -> None:
    page = open_page()
    page.locator("#map .map canvas").click(position={"x": 300, "y": 200})
    page.wait_for_selector("#dream .link:has-text('goes on from the map')")
    page.wait_for_selector("#dream .told:has-text('step 1')")


def test_what_c_is_said_to_have_done_is_what_it_did(calm: Any) -> None:
    """C's parts add up to the actions that Python's agent took in the sample."""
    off = calm.evaluate("""() => Math.max(...along().map((now) => {
      const acted = article.steering.act(now);
      const again = article.model.act(acted.map((_, i) => article.steering.sums(now, i).output));
      return Math.max(...acted.map((value, i) =>
        Math.max(Math.abs(value - now.action[i]), Math.abs(value - again[i]))));
    }))""")
    assert off < 2e-3


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1200, "light")])
def test_phones_and_the_dark_are_served(open_page: Open, width: int, scheme: str) -> None:
    page = open_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    light = sum(int(part) for part in paper.removeprefix("rgb(").rstrip(")").split(", "))
    assert (light < 150) == (scheme == "dark")


def test_it_prints(calm: Any) -> None:
    printed = calm.pdf()
    assert printed.startswith(b"%PDF") and len(printed) > 100_000


def test_the_policy_holds(browser: Any, file: str) -> None:
    page = browser.new_page()
    page.goto(file)
    broken = page.evaluate("""async () => {
      const broken = [];
      addEventListener("securitypolicyviolation", (event) => broken.push(event.violatedDirective));
      await fetch("https://127.0.0.1/").catch(() => {});
      const script = document.createElement("script");
      script.textContent = "globalThis.intruder = 1";
      document.body.append(script);
      await new Promise((go) => { setTimeout(go, 100); });
      return [...broken, globalThis.intruder === undefined];
    }""")
    page.close()
    assert broken == ["connect-src", "script-src-elem", True]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(calm: Any, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright",
                              reason="axe-playwright-python is not installed: "
                                     "pip install -e '.[dev]'")
    calm.emulate_media(color_scheme=scheme)
    found = axe.Axe().run(calm).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"]) for each in found
            if each["impact"] in ("serious", "critical")] == []
