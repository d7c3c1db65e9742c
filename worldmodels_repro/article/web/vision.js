"use strict";
// V: its latents as sliders, ordered by how much they vary, within what the run has met.
section("vision", (root) => {
  const {quantiles, variance, shown_frames: frames, shown_mu: mus, map_z: moments} = page.sample;
  const size = variance.data.length, picture = root.querySelector(".now");
  const order = Array.from(variance.data.keys()).sort((a, b) => variance.data[b] - variance.data[a]);
  const [low, , middle, , high] = [0, 1, 2, 3, 4].map((i) => quantiles.row(i));
  const z = Float32Array.from(middle), sliders = new Map();
  let waiting = false;
  const draw = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; show(picture, z); });
  };
  const put = (values) => {
    z.set(values);
    sliders.forEach((label, k) => label.set(z[k]));
    draw();
  };
  const [first, rest] = ["some", "others"].map((name) => root.querySelector(`.${name}`));
  order.forEach((k, place) => {
    const label = slider(`z${k}`, low[k], high[k], z[k], (value) => { z[k] = value; draw(); });
    sliders.set(k, label);
    (place < 8 ? first : rest).append(label);
  });
  const middleButton = make("button", {type: "button", textContent: "The middle"});
  const frameButton = make("button", {type: "button", textContent: "Another frame"});
  middleButton.addEventListener("click", () => put(middle));
  let turn = 0;
  frameButton.addEventListener("click", () => {
    turn = (turn + 37) % moments.shape[0];
    put(moments.row(turn));
  });
  root.querySelector(".row").append(frameButton, middleButton);
  put(moments.row(11 % moments.shape[0]));

  // Traversals: each of the liveliest latents from its 1 % to its 99 % quantile.
  const grid = root.querySelector(".traversals"), across = 8, down = Math.min(5, size);
  grid.width = across * SIDE;
  grid.height = down * SIDE;
  const pen = grid.getContext("2d"), base = moments.row(11 % moments.shape[0]);
  for (let r = 0; r < down; r++) {
    later(() => {
      for (let i = 0; i < across; i++) {
        const k = order[r], moved = Float32Array.from(base), image = new ImageData(SIDE, SIDE);
        moved[k] = low[k] + (high[k] - low[k]) * i / (across - 1);
        image.data.set(page.model.decode(moved));
        pen.putImageData(image, i * SIDE, r * SIDE);
      }
    });
  }

  const strip = root.querySelector(".strip");
  for (let i = 0; i < frames.shape[0]; i++) {
    const pair = make("div"), [seen, again] = ["a frame of the game", "V's reconstruction of it"]
      .map((label) => canvas(`${label}, ${i + 1} of ${frames.shape[0]}`));
    later(() => { showFrame(seen, frames.row(i)); show(again, mus.row(i)); });
    pair.append(seen, again);
    strip.append(pair);
  }
});
