"""A folder that a web page of one's own loads: the article's engine as a module, and the run."""

from __future__ import annotations

import json
from collections.abc import Callable

from worldmodels_repro.article import WEB
from worldmodels_repro.article.build import KERNEL
from worldmodels_repro.article.engine import engine_of, pack
from worldmodels_repro.run import Run

MODULE = ("random.js", "engine.js", "module.js")


def page_files(run: Run, say: Callable[[str], object]) -> dict[str, bytes]:
    """The engine, its kernel, what the run's tensors are, and the tensors (docs/export.md).

    Raises:
        UserError: the run has no V, M or C, or the kernel can't express one.
    """
    tensors, about = engine_of(run)
    listed, data = pack(tensors)
    told = json.dumps({"engine": about, "tensors": listed}, indent=1)
    script = "\n".join((WEB / name).read_text(encoding="utf-8") for name in MODULE)
    return {"worldmodels.js": script.encode(), "kernel.wasm": KERNEL.read_bytes(),
            "weights.json": told.encode(), "weights.bin": data}
