"use strict";
// C is linear: before the tanh, an action is a sum, and its terms can be read off.
section("steering", (root) => {
  const life = along(), {frames} = page.sample, {inputs} = page.about.engine.c;
  const picture = root.querySelector("canvas"), bars = root.querySelector(".bars");
  const terms = root.querySelector(".terms"), told = root.querySelector(".told");
  const [layer] = page.agent, {names} = page.about, pick = make("select");
  pick.setAttribute("aria-label", "which number of the action");
  names.forEach((name, i) => pick.append(make("option", {value: i, textContent: name})));
  let t = Math.floor(life.length / 3);

  // The bars' end: the largest part of any step, as a round number.
  let most = 1;
  function measure() {
    const largest = life.map((now) => {
      const {all, bias} = parts(now, Number(pick.value || 0));
      return Math.max(...[...inputs, ""].map((name) => Math.abs(all.reduce((sum, {part, value}) =>
        sum + (name === "" || part === name ? value : 0), name === "" ? bias : 0))));
    });
    most = Math.ceil(Math.max(1, ...largest));
    root.querySelector(".end").textContent = `−${most} to ${most}`;
  }

  function parts(now, action) {
    let from = 0;
    const all = inputs.flatMap((name) => Array.from(now[name], (value, k) => ({
      name: `${name}${k}`, part: name, value: value * layer.matrix[from++ * layer.outputs + action]})));
    return {all, bias: layer.edge[action]};
  }

  const rows = [...inputs, "bias", "sum", "tanh"].map((name) => {
    const fill = make("i"), number = make("span");
    bars.append(make("div", {}, make("span", {textContent: name === "tanh" ? "output" : name}),
                     make("div", {className: "bar"}, fill), number));
    return [name, (value) => {
      const share = Math.min(1, Math.abs(value) / most) * 50;
      fill.style.left = `${value < 0 ? 50 - share : 50}%`;
      fill.style.width = `${share}%`;
      number.textContent = value.toFixed(2);
    }];
  });

  function draw() {
    const now = life[t], action = Number(pick.value || 0), {all, bias} = parts(now, action);
    showFrame(picture, rowOf(frames, t));
    const of = (name) => all.filter(({part}) => part === name).reduce((sum, {value}) => sum + value, 0);
    const sums = Object.fromEntries(inputs.map((name) => [name, of(name)]));
    const sum = inputs.reduce((total, name) => total + sums[name], bias);
    for (const [name, fill] of rows)
      fill(name === "sum" ? sum : name === "tanh" ? Math.tanh(sum) : name === "bias" ? bias : sums[name]);
    const largest = [...all].sort((a, b) => Math.abs(b.value) - Math.abs(a.value)).slice(0, 6);
    terms.textContent = `Largest terms: ${largest.map(({name, value}) =>
      `${name} ${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`).join(", ")}`;
    told.textContent = `step ${page.about.first + t}: ${names[action]} ${now.action[action].toFixed(2)}`;
    return sum;
  }
  pick.addEventListener("change", () => { measure(); draw(); });
  const clock = new Clock(bars, () => { t = (t + 1) % life.length; when.set(t); draw(); }, 10);
  const when = slider("step", 0, life.length - 1, t, (value) => {
    t = Math.round(value);
    clock.run(false);
    draw();
  }, 0);
  root.querySelector(".row").append(clock.button(), make("label", {textContent: "action "}, pick), when);
  measure();
  draw();
  page.steering = {life, parts, act: (now) => page.model.act(page.model.outputs(page.agent, now))};
});
