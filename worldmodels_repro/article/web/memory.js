"use strict";
// M: an episode that it never met, as the game had it, as V saw it, and as M dreams it.
section("memory", (root) => {
  const {frames, z, variance} = page.sample, last = z.shape[0] - 1;
  const [game, seen, dreamt] = root.querySelectorAll(".three canvas");
  const plots = root.querySelector(".mixtures"), told = root.querySelector(".told");
  const teacher = new Mind(page.model), dream = new Dream(page.model, page.agent);
  const order = Array.from(variance.data.keys())
    .sort((a, b) => variance.data[b] - variance.data[a]).slice(0, 4);
  const pictures = order.map((k) => mixturePlot(plots, k));
  let t = 0, temperature = 1;

  const now = (step) => [moment(step).z, moment(step).h, moment(step).c];

  function restart() {
    t = 0;
    dream.resume(1, temperature, ...now(0));
    draw();
  }

  function draw() {
    showFrame(game, frames.row(t));
    show(seen, z.row(t));
    show(dreamt, dream.mind.z);
    told.textContent = `step ${page.about.first + t} of the episode; M has dreamt ${t}`;
    const step = Math.min(t, last - 1), next = z.row(step + 1);
    teacher.put(...now(step));
    teacher.advance(moment(step).action);
    pictures.forEach((picture, i) => picture(teacher.mixture(order[i], 1), next[order[i]]));
  }

  const clock = new Clock(root.querySelector(".three"), () => {
    if (t >= last) return restart();
    dream.step(moment(t).action);
    t += 1;
    return draw();
  }, 20);
  const again = make("button", {type: "button", textContent: "From the start"});
  again.addEventListener("click", restart);
  const heat = slider("temperature", 0.1, 2, 1, (value) => { temperature = value; restart(); });
  root.querySelector(".row").append(clock.button(), again, heat);
  restart();

  function mixturePlot(parent, k) {
    const [low, , , , high] = [0, 1, 2, 3, 4].map((i) => page.sample.quantiles.row(i)[k]);
    const from = low - 0.6 * (high - low), to = high + 0.6 * (high - low), W = 160, H = 70;
    const svg = (tag, attributes) => {
      const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
      for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
      return element;
    };
    const box = svg("svg", {viewBox: `0 0 ${W} ${H + 16}`, role: "img",
                            "aria-label": `M's mixture for z${k}, and where z${k} went`});
    const area = svg("path", {class: "agent-fill band"}), line = svg("path", {class: "agent curve"});
    const mark = svg("line", {class: "mark", y1: 0, y2: H}), text = svg("text", {x: 0, y: H + 13});
    text.textContent = `z${k}`;
    box.append(area, line, svg("path", {class: "axis", d: `M0 ${H}H${W}`}), mark, text);
    parent.append(box);
    return ({weights, means, sigmas}, value) => {
      const density = (x) => weights.reduce((sum, weight, j) =>
        sum + weight / sigmas[j] * Math.exp(-0.5 * ((x - means[j]) / sigmas[j]) ** 2), 0);
      const heights = Array.from({length: W / 2 + 1}, (_, i) => density(from + (to - from) * 2 * i / W));
      const most = Math.max(...heights, 1e-9);
      const path = heights.map((y, i) => `${i ? "L" : "M"}${2 * i} ${(H - y / most * (H - 4)).toFixed(1)}`);
      line.setAttribute("d", path.join(""));
      area.setAttribute("d", `${path.join("")}L${W} ${H}L0 ${H}Z`);
      const x = Math.min(W, Math.max(0, (value - from) / (to - from) * W)).toFixed(1);
      mark.setAttribute("x1", x);
      mark.setAttribute("x2", x);
    };
  }
});
