"use strict";
// What sections share: pictures, keys, clocks, and the start of it all.

const SIDE = 64;
const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
const starters = {};

// A section's script says what to do with its element once the run is unpacked.
function section(name, start) {
  starters[name] = start;
}

// Pictures that can wait until the page is alive.
const waiting = [];
function later(draw) {
  waiting.push(draw);
}

// What waits, such as a picture to be shown, has its turn, if work has gone on for long.
const BREATH = 50;  // milliseconds
let breathed = 0;
async function breathe() {
  if (performance.now() - breathed < BREATH) return;
  await new Promise((go) => { setTimeout(go); });
  breathed = performance.now();
}

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function canvas(label, width = SIDE, height = SIDE) {
  const element = make("canvas", {width, height, role: "img"});
  element.setAttribute("aria-label", label);
  return element;
}

// z, as V draws it; while sections start, once all have, unless it has been drawn by then.
let patient = false;
const drawn = new WeakSet();
function show(element, z) {
  if (patient) {
    const kept = Float32Array.from(z);
    later(() => { if (!drawn.has(element)) show(element, kept); });
    return;
  }
  drawn.add(element);
  const image = new ImageData(SIDE, SIDE);
  image.data.set(page.model.decode(z));
  element.getContext("2d").putImageData(image, 0, 0);
}

// A frame of the game, (side, side, 3) bytes.
function showFrame(element, frame) {
  const side = Math.sqrt(frame.length / 3), image = new ImageData(side, side);
  for (let i = 0; i < side * side; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = frame[3 * i + c];
    image.data[4 * i + 3] = 255;
  }
  element.getContext("2d").putImageData(image, 0, 0);
}

// Calls tick at the game's pace while its element is in view and it is meant to run.
class Clock {
  constructor(element, tick, fps = page.model.action.fps) {
    this.running = !still;
    this.seen = false;
    const visible = new IntersectionObserver(([entry]) => { this.seen = entry.isIntersecting; });
    visible.observe(element);
    let due = 0;
    const frame = (now) => {
      requestAnimationFrame(frame);
      if (!this.running || !this.seen) return;
      if (now - due > 250) due = now;
      for (let most = 3; due <= now && most > 0; most--, due += 1000 / fps) tick();
      if (due <= now) due = now;
    };
    requestAnimationFrame(frame);
  }

  // A button that halts it and lets it go on.
  button() {
    const button = make("button", {type: "button"});
    const tell = () => { button.textContent = this.running ? "Pause" : "Play"; };
    button.addEventListener("click", () => { this.running = !this.running; tell(); });
    this.tell = tell;
    tell();
    return button;
  }

  run(on) {
    this.running = on;
    if (this.tell) this.tell();
  }
}

const ARROWS = {left: "←", right: "→", up: "↑", down: "↓"};

// The keys that a person holds, on a keyboard or on buttons for fingers.
class Wheel {
  constructor(stage, pad, wants, taken) {
    this.held = new Set();
    const names = Object.keys(page.model.action.keys);
    const press = (name) => { this.held.add(name); taken(); };
    const nameOf = (event) => event.key.toLowerCase().replace("arrow", "");
    let released = false;
    stage.addEventListener("focus", () => { released = false; });
    document.addEventListener("keydown", (event) => {
      const name = nameOf(event);
      if (event.key === "Escape") {
        released = true;
        stage.blur();
      }
      const typing = /^(input|select|textarea|button|a|summary)$/i.test(event.target.tagName);
      if (!names.includes(name) || typing || event.ctrlKey || event.metaKey || event.altKey) return;
      if (!stage.contains(document.activeElement) && (released || !wants())) return;
      event.preventDefault();
      press(name);
    });
    document.addEventListener("keyup", (event) => this.held.delete(nameOf(event)));
    addEventListener("blur", () => this.held.clear());
    for (const name of names) {
      const button = make("button", {type: "button", textContent: ARROWS[name] || name});
      button.setAttribute("aria-label", name);
      button.addEventListener("pointerdown", (event) => {
        button.setPointerCapture(event.pointerId);
        press(name);
      });
      for (const end of ["pointerup", "pointercancel", "lostpointercapture"])
        button.addEventListener(end, () => this.held.delete(name));
      for (const [on, does] of [["keydown", press], ["keyup", (key) => this.held.delete(key)]])
        button.addEventListener(on, (event) => {
          if (event.key === " " || event.key === "Enter") does(name);
        });
      pad.append(button);
    }
    pad.setAttribute("role", "group");
    pad.setAttribute("aria-label", "Controls");
  }

  get mask() {
    return Object.keys(page.model.action.keys)
      .reduce((mask, name, i) => mask | (this.held.has(name) ? 1 << i : 0), 0);
  }
}

function pressedBy(mask) {
  return page.model.pressed(Object.keys(page.model.action.keys).filter((_, i) => mask & (1 << i)));
}

// A slider with its name and value.
function slider(name, low, high, value, changed, digits = 2) {
  const input = make("input", {type: "range", min: low, max: high, step: "any"});
  input.value = value;
  const told = make("output", {textContent: Number(value).toFixed(digits)});
  input.addEventListener("input", () => {
    told.textContent = Number(input.value).toFixed(digits);
    changed(Number(input.value));
  });
  const label = make("label", {}, make("span", {textContent: name}), input, told);
  label.set = (to) => { input.value = to; told.textContent = Number(to).toFixed(digits); };
  label.input = input;
  return label;
}

// Controllers side by side, each in a dream of its own of the same seed.
function theatre(root, drivers) {
  const tiles = root.querySelector(".tiles");
  let seed = page.about.seed;
  const casts = drivers.map(({name, weights, temperature}) => {
    const picture = canvas(`the dream of ${name}`), told = make("p");
    tiles.append(make("div", {}, picture, told));
    const dream = new Dream(page.model, page.model.controller(weights));
    return {name, temperature, dream, picture, told};
  });
  function restart() {
    for (const {name, temperature, dream, picture, told} of casts) {
      dream.begin(seed, temperature);
      show(picture, dream.mind.z);
      told.textContent = name;
    }
  }
  const clock = new Clock(tiles, () => {
    const going = casts.filter(({dream}) => !dream.over);
    for (const {name, dream, picture, told} of going) {
      dream.step(dream.choice());
      show(picture, dream.mind.z);
      told.textContent = `${name}: ${scoreOf(dream)}${dream.over ? ", the end" : ""}`;
    }
    if (!going.length) clock.run(false);
  }, 25);
  const button = (text, ahead) => {
    const element = make("button", {type: "button", textContent: text});
    element.addEventListener("click", () => { seed += ahead; restart(); clock.run(true); });
    return element;
  };
  root.querySelector(".row").append(clock.button(), button("Start again", 0),
                                    button("Another dream", 1));
  restart();
  later(() => {
    if (clock.seen) return;  // it runs already
    for (const {dream, picture} of casts) {
      ahead(dream);
      show(picture, dream.mind.z);
    }
  });
}

// A dream a moment on: episodes may open with what is not yet play, such as a zoom.
function ahead(dream) {
  for (let steps = page.model.action.fps; steps > 0 && !dream.over; steps--)
    dream.step(dream.choice());
}

// V's and M's state at a step of the sample's episode, as the agent had it.
let follower = null;
const followed = [];
function moment(t) {
  const {z, actions, h, c} = page.sample;
  if (!follower) {
    follower = new Mind(page.model);
    follower.put(z.row(0), h.data, c.data);
  }
  while (followed.length <= t) {
    const step = followed.length;
    follower.z.set(z.row(step));
    const now = {z: z.row(step), h: follower.h.slice(), c: follower.c.slice(),
                 action: Array.from(actions.row(step))};
    follower.advance(now.action);
    followed.push(now);
  }
  return followed[t];
}

// All of them.
function along() {
  moment(page.sample.z.shape[0] - 1);
  return followed;
}

const page = {};
globalThis.article = page;

function bytesOf(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const letters = atob(text), bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes;
}

async function open() {
  page.times = [["script", performance.now()]];  // milliseconds since the page was asked for
  page.about = JSON.parse(document.getElementById("about").textContent);
  if (page.about.engine) {
    const text = (id) => document.getElementById(id).textContent.trim();
    const [raw, code] = await Promise.all([
      inflate(bytesOf(text("data"))), WebAssembly.instantiate(bytesOf(text("kernel")), {})]);
    const tensors = unpack(page.about.tensors, raw);
    page.model = new Model(new Memory(code.instance), page.about.engine, tensors);
    page.agent = page.model.controller(tensors.c.data);
    page.times.push(["engine", performance.now()]);
    page.sample = {};
    for (const [name, tensor] of Object.entries(tensors))
      if (name.startsWith("sample/")) page.sample[name.slice(7)] = tensor;
  }
  for (const [name, start] of Object.entries(starters)) {
    patient = name !== "cover";
    start(document.getElementById(name));
    patient = false;
    await breathe();  // the first sections are alive meanwhile
    page.times.push([name, performance.now()]);
  }
  document.documentElement.dataset.ready = String(Math.round(performance.now()));
  for (const draw of waiting) {
    draw();
    await breathe();
  }
  document.documentElement.dataset.drawn = String(Math.round(performance.now()));
}
