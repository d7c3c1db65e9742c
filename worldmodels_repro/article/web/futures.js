"use strict";
// Nine dreams from one moment: the same past, other draws.
section("futures", (root) => {
  const tiles = root.querySelector(".tiles"), length = page.sample.z.shape[0];
  const told = root.querySelector(".told"), fps = Math.min(20, page.model.action.fps);
  const {first} = page.about;
  let when = Math.floor(length / 4), temperature = page.about.engine.temperature, left = 0;
  const dreams = Array.from({length: 9}, (_, i) => {
    const picture = canvas(`Future ${i + 1} of 9`);
    tiles.append(picture);
    return {dream: new Dream(page.model, page.agent), picture};
  });
  function restart() {
    const {z, h, c} = moment(when);
    dreams.forEach(({dream, picture}, i) => {
      dream.resume(i, temperature, z, h, c);
      show(picture, dream.mind.z);
    });
    left = 5 * fps;
    tell();
  }
  const tell = () => {
    told.textContent = `${5 * fps - left} steps after the moment, each of z's numbers differs by `
      + `${spreadOf(dreams).toFixed(2)} among the nine (standard deviation)`;
  };
  const clock = new Clock(tiles, () => {
    if (left === 0) return restart();
    left -= 1;
    for (const {dream, picture} of dreams) {
      if (dream.over) continue;
      dream.step(dream.choice());
      show(picture, dream.mind.z);
    }
    return tell();
  }, fps);
  const place = slider("step", first, first + length - 1, first + when,
                      (value) => { when = Math.round(value) - first; restart(); }, 0);
  const heat = slider("temperature", 0.1, 2, temperature,
                      (value) => { temperature = value; restart(); });
  const again = make("button", {type: "button", textContent: "From that step"});
  again.addEventListener("click", restart);
  root.querySelector(".row").append(clock.button(), again, place, heat);
  restart();
});

// The standard deviation over dreams, a mean over z's dimensions.
function spreadOf(dreams) {
  const zs = dreams.map(({dream}) => dream.mind.z), size = zs[0].length;
  let total = 0;
  for (let k = 0; k < size; k++) {
    const column = zs.map((z) => z[k]);
    const mean = column.reduce((sum, value) => sum + value, 0) / column.length;
    total += Math.sqrt(column.reduce((sum, value) => sum + (value - mean) ** 2, 0) / column.length);
  }
  return total / size;
}
