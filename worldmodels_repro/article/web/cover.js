"use strict";
// The agent dreams; whoever presses a key plays, and hands back by letting go for two seconds.
section("cover", (root) => {
  const stage = root.querySelector(".stage"), told = root.querySelector(".told");
  const picture = stage.querySelector("canvas");
  const dream = new Dream(page.model, page.agent), {temperature} = page.about.engine;
  let seed = page.about.seed, yours = 0;
  dream.begin(seed, temperature);
  if (still) ahead(dream);
  show(picture, dream.mind.z);
  const wheel = new Wheel(stage, root.querySelector(".pad"), () => scrollY < innerHeight / 3,
                          () => { yours = 2 * page.model.action.fps; clock.run(true); });
  const clock = new Clock(stage, () => {
    if (dream.over) dream.begin(seed += 1, temperature);
    yours = wheel.held.size ? 2 * page.model.action.fps : Math.max(0, yours - 1);
    dream.step(yours ? pressedBy(wheel.mask) : dream.choice());
    show(picture, dream.mind.z);
    const who = yours ? "you play" : "the agent plays";
    told.textContent = `seed ${seed}, step ${dream.steps}, ${scoreOf(dream)}: ${who}`;
  });
  root.querySelector(".row").append(clock.button());
});

function scoreOf(dream) {
  const {reward, done} = page.model.m;
  if (reward === null && done === null) return "no score";
  return reward === null ? `alive for ${dream.score}` : `score ${dream.score.toFixed(0)}`;
}
