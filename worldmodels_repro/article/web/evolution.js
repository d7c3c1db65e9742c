"use strict";
// The mean of every so many generations at the wheel of the same dream.
section("evolution", (root) => {
  const tiles = root.querySelector(".tiles"), {generations} = page.about, fps = 25;
  if (!generations.length) return;
  const {agents} = page.model.tensors, {temperature} = page.about.engine;
  let seed = page.about.seed;
  const drivers = generations.map((generation, i) => {
    const picture = canvas(`the dream of generation ${generation}`);
    const told = make("p");
    tiles.append(make("div", {}, picture, told));
    const dream = new Dream(page.model, page.model.controller(rowOf(agents, i)));
    return {generation, dream, picture, told};
  });
  function restart() {
    for (const {dream, picture, told, generation} of drivers) {
      dream.begin(seed, temperature);
      show(picture, dream.mind.z);
      told.textContent = `generation ${generation}`;
    }
  }
  const clock = new Clock(tiles, () => {
    const going = drivers.filter(({dream}) => !dream.over);
    for (const {dream, picture, told, generation} of going) {
      dream.step(dream.choice());
      show(picture, dream.mind.z);
      told.textContent = `generation ${generation}: ${scoreOf(dream)}`;
    }
    if (!going.length) clock.run(false);
  }, fps);
  const again = make("button", {type: "button", textContent: "Start again"});
  const other = make("button", {type: "button", textContent: "Another dream"});
  again.addEventListener("click", () => { restart(); clock.run(true); });
  other.addEventListener("click", () => { seed += 1; restart(); clock.run(true); });
  root.querySelector(".row").append(clock.button(), again, other);
  restart();
});
