"use strict";
// Moments of the sample's episodes where t-SNE puts their latents; each can be dreamt on from.
section("map", (root) => {
  const {map_points: points, map_frames: frames, map_z: z, map_h: h, map_c: c} = page.sample;
  const board = root.querySelector(".map canvas"), [game, seen] = root.querySelectorAll(".now");
  const count = points.shape[0], side = 30;
  const lows = [0, 1].map((a) => Math.min(...Array.from({length: count}, (_, i) => points.data[2 * i + a])));
  const highs = [0, 1].map((a) => Math.max(...Array.from({length: count}, (_, i) => points.data[2 * i + a])));
  const place = (i) => [board.width, board.height].map((size, a) =>
    side / 2 + (points.data[2 * i + a] - lows[a]) / (highs[a] - lows[a]) * (size - side));
  const thumbs = Array.from({length: count}, () => make("canvas", {width: 32, height: 32}));
  let chosen = 0;
  function draw() {
    const pen = board.getContext("2d");
    pen.clearRect(0, 0, board.width, board.height);
    for (let i = 0; i < count; i++) {
      const [x, y] = place(i);
      pen.drawImage(thumbs[i], x - side / 2, y - side / 2, side, side);
    }
    const [x, y] = place(chosen);
    pen.drawImage(thumbs[chosen], x - side, y - side, 2 * side, 2 * side);
    pen.lineWidth = 3;
    pen.strokeStyle = getComputedStyle(document.body).getPropertyValue("--other");
    pen.strokeRect(x - side, y - side, 2 * side, 2 * side);
    game.getContext("2d").drawImage(thumbs[chosen], 0, 0, SIDE, SIDE);
    show(seen, z.row(chosen));
  }
  function nearest(event) {
    const box = board.getBoundingClientRect();
    const at = [(event.clientX - box.left) / box.width * board.width,
                (event.clientY - box.top) / box.height * board.height];
    let best = 0, least = Infinity;
    for (let i = 0; i < count; i++) {
      const [x, y] = place(i), far = (x - at[0]) ** 2 + (y - at[1]) ** 2;
      if (far < least) [best, least] = [i, far];
    }
    return best;
  }
  const choose = (i) => {
    if (i === chosen) return;
    chosen = i;
    when.set(i);
    draw();
  };
  const on = () => page.dreamOn({z: z.row(chosen), h: h.row(chosen), c: c.row(chosen)});
  board.addEventListener("pointermove", (event) => choose(nearest(event)));
  board.addEventListener("click", (event) => { choose(nearest(event)); on(); });
  const when = slider("moment", 0, count - 1, 0, (value) => choose(Math.round(value)), 0);
  const go = make("button", {type: "button", textContent: "Dream on from here"});
  go.addEventListener("click", on);
  root.querySelector(".row").append(when, go);
  later(() => {
    thumbs.forEach((thumb, i) => showFrame(thumb, frames.row(i)));
    draw();
  });
});
