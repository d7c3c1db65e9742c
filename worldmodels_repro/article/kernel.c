// V's decoder, M's step with its mixture, and C's layers: what a page computes a dream with.
//
// Float32 throughout, in a fixed order, with + - * / and square roots alone: the same bits in every
// browser. Matrices are (inputs, outputs), row by row; pictures are (row, column, channel).
// `python -m worldmodels_repro.article.build` makes kernel.wasm of this file.

typedef float four __attribute__((vector_size(16), aligned(4)));

#define INLINE static inline __attribute__((always_inline))

INLINE four splat(float x) { return (four){x, x, x, x}; }

// e^x: 2^n e^r with |r| <= ln(2) / 2, by e^r's series up to r^8 (its rest is below 3e-10).
static float power_of_e(float x) {
  x = x < -87.0f ? -87.0f : x > 88.0f ? 88.0f : x;
  float n = __builtin_rintf(x * 1.44269504f);
  float r = x - n * 0.693145752f - n * 1.42860677e-6f;
  float sum = 1.0f / 40320;
  sum = sum * r + 1.0f / 5040;
  sum = sum * r + 1.0f / 720;
  sum = sum * r + 1.0f / 120;
  sum = sum * r + 1.0f / 24;
  sum = sum * r + 1.0f / 6;
  sum = sum * r + 0.5f;
  sum = sum * r + 1.0f;
  sum = sum * r + 1.0f;
  union { int bits; float value; } scale = {((int)n + 127) << 23};
  return sum * scale.value;
}

static float sigmoid(float x) { return 1.0f / (1.0f + power_of_e(-x)); }

static float tangent(float x) { return 1.0f - 2.0f / (power_of_e(2.0f * x) + 1.0f); }

// y (outputs,) = b + x (inputs,) W. Rows of W are read in order, four at a time.
void affine(const float *x, const float *w, const float *b, float *y, int inputs, int outputs) {
  for (int j = 0; j < outputs; j++) y[j] = b[j];
  int i = 0;
  for (; i + 4 <= inputs; i += 4) {
    const float *w0 = w + i * outputs, *w1 = w0 + outputs, *w2 = w1 + outputs, *w3 = w2 + outputs;
    four x0 = splat(x[i]), x1 = splat(x[i + 1]), x2 = splat(x[i + 2]), x3 = splat(x[i + 3]);
    int j = 0;
    for (; j + 4 <= outputs; j += 4) {
      four sum = *(four *)(y + j) + x0 * *(four *)(w0 + j);
      sum = sum + x1 * *(four *)(w1 + j);
      sum = sum + x2 * *(four *)(w2 + j);
      *(four *)(y + j) = sum + x3 * *(four *)(w3 + j);
    }
    for (; j < outputs; j++)
      y[j] = (((y[j] + x0[0] * w0[j]) + x1[0] * w1[j]) + x2[0] * w2[j]) + x3[0] * w3[j];
  }
  for (; i < inputs; i++)
    for (int j = 0; j < outputs; j++) y[j] = y[j] + x[i] * w[i * outputs + j];
}

// max(x, 0), tanh and the logistic function of x (n,), in place.
void relu(float *x, int n) {
  for (int i = 0; i < n; i++) x[i] = x[i] > 0.0f ? x[i] : 0.0f;
}
void tanhs(float *x, int n) {
  for (int i = 0; i < n; i++) x[i] = tangent(x[i]);
}
void sigmoids(float *x, int n) {
  for (int i = 0; i < n; i++) x[i] = sigmoid(x[i]);
}

// `pixels` outputs of one parity, neighbours in it, times 4 `wide` channels.
INLINE void block(const float *x, const float *w, const float *b, float *y, int width, int in,
                int out, int kernel, int stride, int top, int left, int pixels, int wide) {
  four sum[8];
  for (int p = 0; p < pixels; p++)
    for (int v = 0; v < wide; v++) sum[p * wide + v] = *(four *)(b + 4 * v);
  for (int ky = top, ty = 0; ky < kernel; ky += stride, ty++)
    for (int kx = left, tx = 0; kx < kernel; kx += stride, tx++) {
      const float *from = x - (ty * width + tx) * in;
      const float *by = w + (ky * kernel + kx) * in * 4 * wide;
      for (int i = 0; i < in; i++, by += 4 * wide) {
        four w0 = *(four *)by, w1 = wide > 1 ? *(four *)(by + 4) : w0;
        for (int p = 0; p < pixels; p++) {
          four xi = splat(from[p * in + i]);
          sum[p * wide] = sum[p * wide] + xi * w0;
          if (wide > 1) sum[p * wide + 1] = sum[p * wide + 1] + xi * w1;
        }
      }
    }
  for (int p = 0; p < pixels; p++)
    for (int v = 0; v < wide; v++) *(four *)(y + p * stride * out + 4 * v) = sum[p * wide + v];
}

// A transposed convolution without padding: x (side, side, in) to y (S, S, out), S = (side - 1)
// stride + kernel. Output pixels whose row and column leave the same rests by the stride use the
// same weights: they are computed together. `out` is a multiple of 8, or 4; w is (out / B, kernel,
// kernel, in, B) with B = 8, or 4. `room` holds x with a border of zeros.
void deconv(const float *x, const float *w, const float *b, float *y, float *room, int side, int in,
            int out, int kernel, int stride) {
  int border = (kernel - 1) / stride, width = side + 2 * border;
  int wide = out % 8 ? 1 : 2, last = (side - 1) * stride + kernel;
  for (int i = 0; i < width * width * in; i++) room[i] = 0.0f;
  for (int r = 0; r < side; r++)
    for (int i = 0; i < side * in; i++)
      room[((r + border) * width + border) * in + i] = x[r * side * in + i];
  for (int c = 0; c < out; c += 4 * wide, w += kernel * kernel * in * 4 * wide)
    for (int top = 0; top < stride; top++)
      for (int left = 0; left < stride; left++)
        for (int row = top, qy = 0; row < last; row += stride, qy++) {
          int count = (last - left + stride - 1) / stride, qx = 0;
          while (qx < count) {
            const float *from = room + ((qy + border) * width + qx + border) * in;
            float *to = y + (row * last + left + qx * stride) * out + c;
            int left_over = count - qx;
#define BLOCK(P, W) block(from, w, b + c, to, width, in, out, kernel, stride, top, left, P, W)
            if (wide == 2 && left_over >= 4) { BLOCK(4, 2); qx += 4; }
            else if (wide == 2) { BLOCK(1, 2); qx += 1; }
            else if (left_over >= 8) { BLOCK(8, 1); qx += 8; }
            else { BLOCK(1, 1); qx += 1; }
#undef BLOCK
          }
        }
}

// Colours in [0, 1], (n, 4), as bytes: red, green, blue, and a solid alpha.
void paint(const float *x, unsigned char *rgba, int n) {
  for (int i = 0; i < n; i++) {
    for (int c = 0; c < 3; c++) rgba[4 * i + c] = (int)__builtin_rintf(x[4 * i + c] * 255.0f);
    rgba[4 * i + 3] = 255;
  }
}

// An LSTM's state after its gates (4 units,): input, forget, candidate, output, as Keras has them.
void lstm(const float *gates, float *h, float *c, int units) {
  for (int i = 0; i < units; i++) {
    c[i] = sigmoid(gates[units + i]) * c[i] + sigmoid(gates[i]) * tangent(gates[2 * units + i]);
    h[i] = sigmoid(gates[3 * units + i]) * tangent(c[i]);
  }
}

// z (n,) drawn of n mixtures of k: all logits, all means, all log sigmas, each (n, k). Temperature
// divides the logits and multiplies sigma^2.
void draw(const float *mixtures, const float *uniforms, const float *normals, float *z, int n,
          int k, float temperature) {
  const float *means = mixtures + n * k, *sigmas = means + n * k;
  float widening = __builtin_sqrtf(temperature);
  for (int i = 0; i < n; i++) {
    const float *logits = mixtures + i * k;
    float highest = logits[0], total = 0.0f;
    for (int j = 1; j < k; j++) highest = logits[j] > highest ? logits[j] : highest;
    for (int j = 0; j < k; j++) total = total + power_of_e((logits[j] - highest) / temperature);
    float level = total * uniforms[i], passed = 0.0f;
    int picked = -1;
    do {
      picked++;
      passed = passed + power_of_e((logits[picked] - highest) / temperature);
    } while (picked < k - 1 && passed <= level);
    z[i] = means[i * k + picked] + power_of_e(sigmas[i * k + picked]) * widening * normals[i];
  }
}
