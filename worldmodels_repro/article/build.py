"""``python -m worldmodels_repro.article.build``: the kernel, from C to WebAssembly.

For those who change ``kernel.c``: what is built is kept beside it. ``ziglang`` (a wheel) compiles.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from worldmodels_repro.storage import write_atomically

SOURCE = Path(__file__).with_name("kernel.c")
KERNEL = SOURCE.with_suffix(".wasm")
FUNCTIONS = ("affine", "relu", "tanhs", "sigmoids", "deconv", "paint", "lstm", "draw")


def compiled(source: Path = SOURCE) -> bytes:
    """The kernel's WebAssembly, with 128-bit SIMD; the same bytes for the same source and zig."""
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder) / "kernel.wasm"
        subprocess.run(
            [sys.executable, "-m", "ziglang", "cc", "-target", "wasm32-freestanding", "-O3",
             "-mcpu=generic+simd128", "-ffp-contract=off", "-nostdlib", "-s", "-Wl,--no-entry",
             "-Wl,--export=__heap_base", *(f"-Wl,--export={name}" for name in FUNCTIONS),
             "-o", str(built), source.name],
            check=True, cwd=source.parent)
        return built.read_bytes()


if __name__ == "__main__":
    code = compiled()
    write_atomically(KERNEL, lambda file: file.write(code))
    print(f"{KERNEL}: {len(code):,} bytes")
