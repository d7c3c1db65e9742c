"use strict";
// Two seconds of what happened, or of what M made up; V draws both.
section("quiz", (root) => {
  const picture = root.querySelector("canvas"), told = root.querySelector(".told");
  const fps = Math.min(25, page.model.action.fps), length = 2 * fps;
  const draws = new Generator(Date.now() % 4294967296);
  const dream = new Dream(page.model, page.agent);
  let clip = [], at = 0, real = true, right = 0, asked = 0, open = false;
  function ask() {
    const life = along();
    real = draws.uniform() < 0.5;
    const first = draws.below(Math.max(1, life.length - length)), start = life[first];
    clip = life.slice(first, first + length).map(({z}) => z);
    if (!real) {
      dream.resume(draws.below(1000000), 1, start.z, start.h, start.c);
      clip = clip.map(() => { dream.step(dream.choice()); return dream.mind.z.slice(); });
    }
    at = 0;
    open = true;
    show(picture, clip[0]);
    told.textContent = asked ? `${right} of ${asked} right. Real or dream?` : "Real or dream?";
  }
  function answer(guess) {
    if (!open) return;
    open = false;
    asked += 1;
    right += guess === real;
    told.textContent = `${guess === real ? "Right" : "Wrong"}: it was ${real ? "real" : "a dream"}. `
      + `${right} of ${asked} right.`;
  }
  const clock = new Clock(picture, () => {
    if (!clip.length) return;
    at = (at + 1) % clip.length;
    show(picture, clip[at]);
  }, fps);
  const button = (text, does) => {
    const element = make("button", {type: "button", textContent: text});
    element.addEventListener("click", does);
    return element;
  };
  root.querySelector(".row").append(button("Real", () => answer(true)),
    button("Dream", () => answer(false)), button("Next", ask), clock.button());
  later(ask);
});
