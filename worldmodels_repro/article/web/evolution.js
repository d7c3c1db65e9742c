"use strict";
// The mean of every so many generations in the same dream.
section("evolution", (root) => {
  const {generations, engine: {temperature}} = page.about, {agents} = page.model.tensors;
  if (root.querySelector(".tiles"))
    theatre(root, generations.map((generation, i) =>
      ({name: `generation ${generation}`, weights: agents.row(i), temperature})));
});
