"use strict";
// Agents that were evolved in dreams of several temperatures, each in a dream of its own.
section("temperatures", (root) => {
  const {temperatures} = page.about, {pupils} = page.model.tensors;
  if (root.querySelector(".tiles"))
    theatre(root, temperatures.map((temperature, i) =>
      ({name: `τ ${temperature}`, weights: pupils.row(i), temperature})));
});
