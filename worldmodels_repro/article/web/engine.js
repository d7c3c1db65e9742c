"use strict";
// V's decoder, M and C at work: the kernel, its memory, and dreams.

// Fed by hand: a Blob's bytes would go through another process, at twice the time.
async function inflate(bytes) {
  const {readable, writable} = new DecompressionStream("deflate-raw"), writer = writable.getWriter();
  writer.write(bytes);
  writer.close();
  return new Uint8Array(await new Response(readable).arrayBuffer());
}

// Tensors by name, out of what `pack` in engine.py wrote.
function unpack(listed, raw) {
  const tensors = {};
  let from = 0;
  for (const {name, shape, kind} of listed) {
    const count = shape.reduce((product, side) => product * side, 1), width = Number(kind[1]);
    const planes = Array.from({length: width}, (_, k) =>
      raw.subarray(from + k * count, from + (k + 1) * count));
    tensors[name] = new Tensor(shape, planes);
    from += count * width;
  }
  return tensors;
}

// Its bytes plane by plane; numbers are made of them when they are asked for.
class Tensor {
  constructor(shape, planes) {
    this.shape = shape;
    this.planes = planes;
    this.whole = null;
  }

  get data() {
    if (!this.whole) this.whole = numbers(this.planes);
    return this.whole;
  }

  // The i-th of the first axis.
  row(i) {
    const size = this.planes[0].length / this.shape[0];
    const part = (all) => all.subarray(i * size, (i + 1) * size);
    return this.whole ? part(this.whole) : numbers(this.planes.map(part));
  }
}

function numbers(planes) {
  return planes.length === 1 ? planes[0] : planes.length === 2 ? halves(...planes) : floats(planes);
}

function floats(planes) {
  const bytes = new Uint8Array(4 * planes[0].length);
  for (let k = 0; k < 4; k++)
    for (let i = 0, plane = planes[k]; i < plane.length; i++) bytes[4 * i + k] = plane[i];
  return new Float32Array(bytes.buffer);
}

let halfTable = null;
function halves(low, high) {
  if (!halfTable) {
    halfTable = new Float32Array(65536);
    for (let bits = 0; bits < 65536; bits++) {
      const exponent = (bits >> 10) & 31, fraction = bits & 1023;
      const size = exponent === 0 ? fraction * 2 ** -24
        : exponent === 31 ? (fraction ? NaN : Infinity)
          : (1 + fraction / 1024) * 2 ** (exponent - 15);
      halfTable[bits] = bits & 32768 ? -size : size;
    }
  }
  const values = new Float32Array(low.length);
  for (let i = 0; i < low.length; i++) values[i] = halfTable[(high[i] << 8) | low[i]];
  return values;
}

// Pages that the memory grows by, of 64 KiB: each growth is a new buffer to the garbage collector.
const PAGES = 256;

// The kernel's memory: what is placed stays; an array's view holds until the next is placed.
class Memory {
  constructor(instance) {
    this.calls = instance.exports;
    this.memory = instance.exports.memory;
    this.end = (instance.exports.__heap_base.value + 63) & ~63;
  }

  place(count, data = null) {
    const at = this.end;
    this.end = (at + 4 * count + 63) & ~63;
    const missing = this.end - this.memory.buffer.byteLength;
    if (missing > 0) this.memory.grow(Math.max(PAGES, Math.ceil(missing / 65536)));
    if (data) this.floats(at, count).set(data);
    return at;
  }

  floats(at, count) {
    return new Float32Array(this.memory.buffer, at, count);
  }
}

// V, M and C of a run, and room to compute with them.
class Model {
  constructor(memory, about, tensors) {
    this.memory = memory;
    this.v = about.v;
    this.m = about.m;
    this.c = about.c;
    this.action = about.action;
    this.tensors = tensors;
    const put = (name) => memory.place(tensors[name].data.length, tensors[name].data);
    this.first = {kernel: put("v/0/kernel"), bias: put("v/0/bias"),
                  size: tensors["v/0/bias"].data.length};
    this.layers = this.v.map((layer, i) => ({...layer, weights: put(`v/${i + 1}/kernel`),
                                             bias: put(`v/${i + 1}/bias`)}));
    let most = this.first.size, room = 0;
    for (const {side, in: into, out, kernel, stride} of this.v) {
      most = Math.max(most, ((side - 1) * stride + kernel) ** 2 * out);
      room = Math.max(room, (side + 2 * Math.floor((kernel - 1) / stride)) ** 2 * into);
    }
    this.maps = [memory.place(most), memory.place(most)];
    this.room = memory.place(room);
    this.picture = memory.place(64 * 64);
    this.latent = memory.place(this.m.z);
    this.lstm = {kernel: put("m/lstm/kernel"), bias: put("m/lstm/bias")};
    this.mdn = {kernel: put("m/mdn/kernel"), bias: put("m/mdn/bias")};
    this.gates = memory.place(4 * this.m.units);
    this.seen = memory.place(this.m.units);
    this.uniforms = memory.place(this.m.z);
    this.normals = memory.place(this.m.z);
  }

  // z (z,) -> the frame as V's decoder draws it, (64 * 64 * 4,) bytes; used again by the next call.
  decode(z) {
    const {memory, maps, first} = this, run = memory.calls;
    memory.floats(this.latent, z.length).set(z);
    run.affine(this.latent, first.kernel, first.bias, maps[0], z.length, first.size);
    run.relu(maps[0], first.size);
    this.layers.forEach(({side, in: into, out, kernel, stride, weights, bias}, i) => {
      const to = maps[(i + 1) % 2], size = ((side - 1) * stride + kernel) ** 2 * out;
      run.deconv(maps[i % 2], weights, bias, to, this.room, side, into, out, kernel, stride);
      if (i < this.layers.length - 1) run.relu(to, size);
      else run.sigmoids(to, size);
    });
    run.paint(maps[this.layers.length % 2], this.picture, 64 * 64);
    return new Uint8ClampedArray(memory.memory.buffer, this.picture, 64 * 64 * 4);
  }

  // A controller from the numbers that CMA-ES evolves: each layer's W row by row, then its b.
  controller(weights) {
    let from = 0;
    return this.c.layers.map(([inputs, outputs]) => {
      const kernel = new Float32Array(inputs * outputs), bias = new Float32Array(outputs);
      for (let o = 0; o < outputs; o++)
        for (let i = 0; i < inputs; i++) kernel[i * outputs + o] = weights[from++];
      if (this.c.bias) for (let o = 0; o < outputs; o++) bias[o] = weights[from++];
      const place = (data) => this.memory.place(data.length, data);
      return {inputs, outputs, matrix: kernel, edge: bias, kernel: place(kernel),
              bias: place(bias), from: place(new Float32Array(inputs)),
              to: place(new Float32Array(outputs))};
    });
  }

  // C's outputs in (-1, 1) for what it sees of a mind.
  outputs(controller, mind) {
    const parts = {z: mind.z, h: mind.h, c: mind.c}, run = this.memory.calls;
    let values = Float32Array.from(this.c.inputs.flatMap((name) => Array.from(parts[name])));
    for (const layer of controller) {
      this.memory.floats(layer.from, layer.inputs).set(values);
      run.affine(layer.from, layer.kernel, layer.bias, layer.to, layer.inputs, layer.outputs);
      run.tanhs(layer.to, layer.outputs);
      values = this.memory.floats(layer.to, layer.outputs).slice();
    }
    return values;
  }

  // Outputs -> an action in the game's ranges.
  act(outputs) {
    const {scale, offset, low, high} = this.action;
    return Array.from(outputs, (output, i) =>
      Math.fround(Math.min(high[i], Math.max(low[i], offset[i] + scale[i] * output))));
  }

  // What a person's keys come to.
  pressed(held) {
    const {keys, low, high} = this.action, sum = low.map(() => 0);
    for (const key of held) (keys[key] || []).forEach((push, i) => { sum[i] += push; });
    return sum.map((value, i) => Math.fround(Math.min(high[i], Math.max(low[i], value))));
  }

  told(action) {
    return this.action.told === "thirds"
      ? action.map((value) => (Math.abs(value) > 1 / 3 ? Math.sign(value) : 0)) : action;
  }
}

// M's state in one episode, told what comes or left to its own draws.
class Mind {
  constructor(model) {
    const {memory, m} = model;
    this.model = model;
    this.at = {x: memory.place(m.inputs + m.units), h: memory.place(m.units),
               c: memory.place(m.units), out: memory.place(m.outputs), z: memory.place(m.z)};
    this.reset();
  }

  get z() { return this.model.memory.floats(this.at.z, this.model.m.z); }
  get h() { return this.model.memory.floats(this.at.h, this.model.m.units); }
  get c() { return this.model.memory.floats(this.at.c, this.model.m.units); }
  get out() { return this.model.memory.floats(this.at.out, this.model.m.outputs); }

  reset() {
    this.h.fill(0);
    this.c.fill(0);
    this.kept = null;
    this.opening = true;
  }

  put(z, h, c) {
    this.z.set(z);
    this.h.set(h);
    this.c.set(c);
    this.opening = false;
  }

  // (z, action) -> h, c and the mixture of the next z.
  advance(action) {
    const {model, at} = this, {memory, m} = model, run = memory.calls;
    const x = memory.floats(at.x, m.inputs + m.units), h = this.h;
    x.set(this.z);
    if (this.kept) for (let i = 0; i < m.z; i++) x[i] *= this.kept.z[i];
    x.set(model.told(action), m.z);
    if (m.restart) x[m.inputs - 1] = this.opening ? 1 : 0;
    x.set(h, m.inputs);
    this.opening = false;
    run.affine(at.x, model.lstm.kernel, model.lstm.bias, model.gates, m.inputs + m.units,
               4 * m.units);
    run.lstm(model.gates, at.h, at.c, m.units);
    let seen = at.h;
    if (this.kept) {
      seen = model.seen;
      memory.floats(seen, m.units).set(h.map((value, i) => value * this.kept.h[i]));
    }
    run.affine(seen, model.mdn.kernel, model.mdn.bias, at.out, m.units, m.outputs);
  }

  // The next z, drawn of the mixture.
  draw(uniforms, normals, temperature) {
    const {model, at} = this, {memory, m} = model;
    memory.floats(model.uniforms, m.z).set(uniforms);
    memory.floats(model.normals, m.z).set(normals);
    memory.calls.draw(at.out, model.uniforms, model.normals, at.z, m.z, m.mixtures, temperature);
  }

  // The mixture: weights, means and sigmas of latent k.
  mixture(k, temperature = 1) {
    const {mixtures: K, z} = this.model.m, out = this.out;
    const row = (kind) => Array.from(out.subarray((kind * z + k) * K, (kind * z + k + 1) * K));
    const logits = row(0), highest = Math.max(...logits);
    const parts = logits.map((logit) => Math.exp((logit - highest) / temperature));
    const total = parts.reduce((sum, part) => sum + part, 0);
    return {weights: parts.map((part) => part / total), means: row(1),
            sigmas: row(2).map((log) => Math.exp(log) * Math.sqrt(temperature))};
  }
}

// A dream: the very one of `worldmodels play --world dream --seed N`, while nobody takes the wheel.
class Dream {
  constructor(model, controller) {
    this.model = model;
    this.controller = controller;
    this.mind = new Mind(model);
  }

  begin(seed, temperature) {
    const {model, mind} = this, {m} = model;
    const {"starts/mu": mu, "starts/logvar": logvar} = model.tensors;
    this.draws = new Generator(seed);
    this.temperature = temperature;
    this.steps = this.score = 0;
    this.over = false;
    mind.reset();
    const start = this.draws.below(mu.shape[0]), means = mu.row(start), spreads = logvar.row(start);
    mind.z.set(Array.from({length: m.z}, (_, k) =>
      means[k] + Math.fround(Math.exp(0.5 * spreads[k])) * this.draws.normal()));
    if (m.dropout) {
      const keep = (count) => Float32Array.from({length: count}, () =>
        (this.draws.uniform() >= m.dropout ? 1 / (1 - m.dropout) : 0));
      const z = keep(m.z);
      mind.kept = {z, h: keep(m.units)};
    }
    if (m.spread) this.temperature *= 1 + m.spread * (2 * this.draws.uniform() - 1);
  }

  // Dream on from a moment of a game that M followed.
  resume(seed, temperature, z, h, c) {
    this.begin(seed, temperature);
    this.mind.put(z, h, c);
  }

  // What the agent does now: an action in the game's ranges.
  choice() {
    return this.model.act(this.model.outputs(this.controller, this.mind));
  }

  step(action) {
    const {m, action: {most, repeat}} = this.model, ahead = this.steps % m.ahead, {z} = m;
    if (ahead === 0) this.drawAhead();
    this.mind.advance(action);
    const part = (noise) => noise.subarray(ahead * z, (ahead + 1) * z);
    this.mind.draw(part(this.uniforms), part(this.normals), this.temperature);
    this.steps += 1;
    this.score += m.reward === null ? repeat : this.mind.out[m.reward];
    const ended = m.done !== null && this.mind.out[m.done] > this.thresholds[ahead];
    this.over = ended || this.steps >= most;
    return this.over;
  }

  drawAhead() {
    const {m} = this.model, count = m.ahead * m.z, {draws} = this;
    this.uniforms = Float32Array.from({length: count}, () => draws.uniform());
    this.normals = Float32Array.from({length: count}, () => draws.normal());
    this.thresholds = Float64Array.from({length: m.ahead}, () =>
      (m.endingLog === null ? 0 : draws.logistic(m.endingLog)));
  }
}
