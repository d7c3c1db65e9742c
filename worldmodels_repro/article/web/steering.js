"use strict";
// C is linear: before the tanh, an action is a sum, and its terms can be read off.
section("steering", (root) => {
  const {frames} = page.sample, {inputs} = page.about.engine.c;
  const picture = root.querySelector("canvas"), bars = root.querySelector(".bars");
  const terms = root.querySelector(".terms"), told = root.querySelector(".told");
  const [layer] = page.agent, {names} = page.about, pick = make("select");
  pick.setAttribute("aria-label", "which number of the action");
  names.forEach((name, i) => pick.append(make("option", {value: i, textContent: name})));
  const length = page.sample.z.shape[0], {first} = page.about;
  let t = Math.floor(length / 3);

  // What each of z's, h's (and c's) numbers adds to an action before the tanh, and the bias.
  function parts(now, action) {
    let from = 0;
    const all = inputs.map((name) => [name, now[name].map((value) =>
      value * layer.matrix[from++ * layer.outputs + action])]);
    return {all, bias: layer.edge[action]};
  }

  function sums(now, action) {
    const {all, bias} = parts(now, action), told = {bias, sum: bias};
    for (const [name, values] of all) {
      told[name] = values.reduce((sum, value) => sum + value, 0);
      told.sum += told[name];
    }
    return {...told, output: Math.tanh(told.sum)};
  }

  // The bars' end: the largest sum of any step, as a round number.
  let most = 1;
  function measure() {
    const action = Number(pick.value || 0);
    most = Math.ceil(Math.max(1, ...along().flatMap((now) =>
      Object.values(sums(now, action)).map(Math.abs))));
    root.querySelector(".end").textContent = `−${most} to ${most}`;
  }

  const rows = [...inputs, ...(page.about.engine.c.bias ? ["bias"] : []), "sum", "output"].map((name) => {
    const fill = make("i"), number = make("span");
    bars.append(make("div", {}, make("span", {textContent: name}),
                     make("div", {className: "bar"}, fill), number));
    return [name, (value) => {
      const share = Math.min(1, Math.abs(value) / most) * 50;
      fill.style.left = `${value < 0 ? 50 - share : 50}%`;
      fill.style.width = `${share}%`;
      number.textContent = value.toFixed(2);
    }];
  });

  function draw() {
    const now = moment(t), action = Number(pick.value || 0), added = sums(now, action);
    showFrame(picture, frames.row(t));
    for (const [name, fill] of rows) fill(added[name]);
    const all = parts(now, action).all.flatMap(([name, values]) =>
      Array.from(values, (value, k) => ({name: `${name}${k}`, value})));
    const largest = all.sort((a, b) => Math.abs(b.value) - Math.abs(a.value)).slice(0, 6);
    terms.textContent = `Largest terms: ${largest.map(({name, value}) =>
      `${name} ${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`).join(", ")}`;
    told.textContent = `step ${first + t}: ${names[action]} ${now.action[action].toFixed(2)}`;
  }
  pick.addEventListener("change", () => { measure(); draw(); });
  const clock = new Clock(bars, () => { t = (t + 1) % length; when.set(first + t); draw(); }, 10);
  const when = slider("step", first, first + length - 1, first + t, (value) => {
    t = Math.round(value) - first;
    clock.run(false);
    draw();
  }, 0);
  root.querySelector(".row").append(clock.button(), make("label", {textContent: "action "}, pick), when);
  later(() => { measure(); draw(); });
  page.steering = {sums, act: (now) => page.model.act(page.model.outputs(page.agent, now))};
});
