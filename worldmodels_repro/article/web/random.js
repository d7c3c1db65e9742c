"use strict";
// NumPy's generators as a dream draws from them: SeedSequence, PCG64, float32 and double uniforms,
// float32 normals by the ziggurat, bounded integers by Lemire's method. The same bits as NumPy's.

const MASK64 = (1n << 64n) - 1n, MASK128 = (1n << 128n) - 1n;
const PCG_MULTIPLIER = 0x2360ed051fc65da44385df649fccf645n;

// Four 64-bit words of SeedSequence([n, ...]) for entropy numbers below 2^32.
function seedWords(entropy) {
  const pool = new Uint32Array(4);
  let constant = 0x43b0d7e5;
  const hash = (value) => {
    value = (value ^ constant) >>> 0;
    constant = Math.imul(constant, 0x931e8875) >>> 0;
    value = Math.imul(value, constant) >>> 0;
    return (value ^ (value >>> 16)) >>> 0;
  };
  const mix = (x, y) => {
    const result = (Math.imul(x, 0xca01f9dd) - Math.imul(y, 0x4973f715)) >>> 0;
    return (result ^ (result >>> 16)) >>> 0;
  };
  for (let i = 0; i < 4; i++) pool[i] = hash(i < entropy.length ? entropy[i] : 0);
  for (let from = 0; from < 4; from++)
    for (let to = 0; to < 4; to++) if (from !== to) pool[to] = mix(pool[to], hash(pool[from]));
  for (let from = 4; from < entropy.length; from++)
    for (let to = 0; to < 4; to++) pool[to] = mix(pool[to], hash(entropy[from]));
  let next = 0x8b51f9dd;
  const words = [];
  for (let i = 0; i < 8; i++) {
    let value = (pool[i % 4] ^ next) >>> 0;
    next = Math.imul(next, 0x58f38ded) >>> 0;
    value = Math.imul(value, next) >>> 0;
    words.push(BigInt((value ^ (value >>> 16)) >>> 0));
  }
  return [0, 2, 4, 6].map((i) => words[i] | (words[i + 1] << 32n));
}

// The ziggurat's 256 layers of equal area under exp(-x^2 / 2) (Marsaglia and Tsang, 2000).
const ZIGGURAT = (() => {
  const r = 3.6541528853610087963519472518, area = 0.0049286732339746519;
  const density = (x) => Math.exp(-0.5 * x * x), steps = 2 ** 23;
  const within = new Uint32Array(256), width = new Float32Array(256);
  const height = new Float32Array(256);
  within[0] = Math.round((r * density(r) / area) * steps);
  width[0] = area / density(r) / steps;
  width[255] = r / steps;
  height[0] = 1;
  height[255] = density(r);
  for (let i = 254, x = r; i > 0; i--) {
    const outer = x;
    x = Math.sqrt(-2 * Math.log(area / x + density(x)));
    within[i + 1] = Math.round((x / outer) * steps);
    width[i] = x / steps;
    height[i] = density(x);
  }
  return {within, width, height, r: Math.fround(r), inverse: Math.fround(1 / r)};
})();

class Generator {
  // numpy.random.default_rng(numpy.random.SeedSequence([seed]))
  constructor(seed) {
    const [high, low, streamHigh, streamLow] = seedWords([seed]);
    this.increment = ((((streamHigh << 64n) | streamLow) << 1n) | 1n) & MASK128;
    this.state = 0n;
    this.advance();
    this.state = (this.state + ((high << 64n) | low)) & MASK128;
    this.advance();
    this.kept = -1;
  }

  advance() {
    this.state = (this.state * PCG_MULTIPLIER + this.increment) & MASK128;
  }

  next64() {
    this.advance();
    const folded = (this.state >> 64n) ^ (this.state & MASK64), turn = this.state >> 122n;
    return ((folded >> turn) | (folded << (64n - turn))) & MASK64;
  }

  next32() {
    if (this.kept >= 0) {
      const value = this.kept;
      this.kept = -1;
      return value;
    }
    const both = this.next64();
    this.kept = Number(both >> 32n);
    return Number(both & 0xffffffffn);
  }

  // integers(n), for 1 <= n < 2^32.
  below(n) {
    if (n === 1) return 0;
    const range = BigInt(n), threshold = (1n << 32n) % range;
    for (;;) {
      const product = BigInt(this.next32()) * range;
      if ((product & 0xffffffffn) >= threshold) return Number(product >> 32n);
    }
  }

  // random(dtype=float32)
  uniform() {
    return (this.next32() >>> 8) / 16777216;
  }

  // random()
  double() {
    return Number(this.next64() >> 11n) / 9007199254740992;
  }

  // standard_normal(dtype=float32)
  normal() {
    const {within, width, height, r, inverse} = ZIGGURAT, f = Math.fround;
    for (;;) {
      const bits = this.next32(), layer = bits & 255, steps = bits >>> 9;
      const size = f(steps * width[layer]), x = bits & 256 ? -size : size;
      if (steps < within[layer]) return x;
      if (layer === 0) {
        for (;;) {
          const out = f(-inverse * f(Math.log1p(-this.uniform())));
          const up = f(-f(Math.log1p(-this.uniform())));
          if (f(up + up) > f(out * out)) return (steps >>> 8) & 1 ? -f(r + out) : f(r + out);
        }
      }
      const below = f(f(height[layer - 1] - height[layer]) * this.uniform());
      if (f(below + height[layer]) < Math.exp(-0.5 * x * x)) return x;
    }
  }

  // logistic(loc)
  logistic(loc) {
    for (;;) {
      const u = this.double();
      if (u > 0) return loc + Math.log(u / (1 - u));
    }
  }
}
