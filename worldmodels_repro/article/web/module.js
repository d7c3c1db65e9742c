"use strict";
// For pages of one's own: the engine as a module, and a run's folder loaded.

// -> the model, the agent's controller, and what the run's tensors are.
export async function load(folder = import.meta.url) {
  const get = async (name) => {
    const answer = await fetch(new URL(name, folder));
    if (!answer.ok) throw new Error(`${name} can't be loaded: ${answer.status}`);
    return new Uint8Array(await answer.arrayBuffer());
  };
  const [told, packed, code] = await Promise.all(
    ["weights.json", "weights.bin", "kernel.wasm"].map(get));
  const about = JSON.parse(new TextDecoder().decode(told));
  const [raw, kernel] = await Promise.all([inflate(packed), WebAssembly.instantiate(code, {})]);
  const tensors = unpack(about.tensors, raw);
  const model = new Model(new Memory(kernel.instance), about.engine, tensors);
  return {model, agent: model.controller(tensors.c.data), about: about.engine, tensors};
}

export {Dream, Generator, Mind};
