"use strict";
// A dream to steer: its seed, its temperature, and a link that plays the same again.
section("dream", (root) => {
  const stage = root.querySelector(".stage"), told = root.querySelector(".told");
  const picture = stage.querySelector("canvas"), row = root.querySelector(".row");
  const link = root.querySelector(".link");
  const dream = new Dream(page.model, page.agent);
  const seedBox = make("input", {type: "number", min: 0, max: 4294967295, step: 1,
                                 value: page.about.seed});
  const heat = slider("temperature", 0.1, 2, page.about.engine.temperature, restart);
  const agent = make("button", {type: "button", textContent: "The agent plays"});
  const again = make("button", {type: "button", textContent: "Start again"});
  const replay = make("button", {type: "button", textContent: "Replay mine"});
  let record = [], script = null, driving = false, resumed = null;

  // Runs of [who, steps]: the agent is "g", a person the sum of the keys held.
  const write = (runs) => runs.map(([who, steps]) => `${who}x${steps}`).join(".");
  const read = (text) => [...text.matchAll(/(g|\d+)x(\d+)/g)]
    .map(([, who, steps]) => [who === "g" ? who : Number(who), Number(steps)]);

  function begin() {
    const seed = Math.min(4294967295, Math.max(0, Math.round(Number(seedBox.value) || 0)));
    const temperature = Number(heat.input.value);
    if (resumed) dream.resume(seed, temperature, resumed.z, resumed.h, resumed.c);
    else dream.begin(seed, temperature);
    record = [];
    show(picture, dream.mind.z);
    tell();
  }

  function restart() {
    script = null;
    begin();
  }

  function tell() {
    const end = dream.over ? ", the end" : "";
    told.textContent = `step ${dream.steps}, ${scoreOf(dream)}${end}`;
    if (resumed) {
      link.textContent = "This dream goes on from the map; a link replays dreams from a seed.";
      return;
    }
    const path = `#seed=${seedBox.value}&t=${Number(Number(heat.input.value).toFixed(4))}`
      + (record.some(([who]) => who !== "g") ? `&a=${write(record)}` : "");
    link.replaceChildren("Link to this dream: ",
                         make("a", {href: path, textContent: path.length > 60
                           ? `${path.slice(0, 60)}…` : path}));
  }

  function whoNow() {
    if (script) {
      let left = dream.steps;
      for (const [who, steps] of script) {
        if (left < steps) return who;
        left -= steps;
      }
      return "g";
    }
    return driving || wheel.held.size ? wheel.mask : "g";
  }

  function step() {
    if (dream.over) return clock.run(false);
    const who = whoNow(), last = record[record.length - 1];
    if (last && last[0] === who) last[1] += 1;
    else record.push([who, 1]);
    dream.step(who === "g" ? dream.choice() : pressedBy(who));
    return undefined;
  }

  function drive(on) {
    driving = on;
    agent.textContent = on ? "You play" : "The agent plays";
    agent.setAttribute("aria-pressed", String(on));
  }

  const wheel = new Wheel(stage, root.querySelector(".pad"), () => false, () => {
    script = null;
    drive(true);
    clock.run(true);
  });
  const clock = new Clock(stage, () => {
    step();
    show(picture, dream.mind.z);
    if (dream.steps % 5 === 0 || dream.over) tell();
  });
  heat.input.setAttribute("aria-label", "temperature");
  agent.addEventListener("click", () => drive(!driving));
  again.addEventListener("click", () => { resumed = null; restart(); clock.run(!still); });
  replay.addEventListener("click", () => { script = record; begin(); drive(false); clock.run(true); });
  seedBox.addEventListener("change", () => { resumed = null; restart(); });
  row.append(clock.button(), again, agent, replay);
  row.append(make("label", {textContent: "seed "}, seedBox), heat);
  drive(false);

  function follow() {
    const words = new URLSearchParams(location.hash.slice(1));
    if (!words.has("seed")) return;
    seedBox.value = words.get("seed");
    heat.set(Math.min(2, Math.max(0.1, Number(words.get("t")) || page.about.engine.temperature)));
    resumed = null;
    script = words.has("a") ? read(words.get("a")) : null;
    begin();
    root.scrollIntoView();
    clock.run(true);
  }
  addEventListener("hashchange", follow);
  begin();
  follow();

  // For the map: dream on from a moment of the game.
  page.dreamOn = (moment) => {
    resumed = moment;
    restart();
    clock.run(true);
    root.scrollIntoView();
    stage.focus({preventScroll: true});
  };
  page.live = {dream, step, begin, record: () => write(record)};
});
