"""Damage every kind of file that is read, and see that reading it says so in one line."""

from __future__ import annotations

import random
import tempfile
import traceback
from collections import Counter
from contextlib import redirect_stderr
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.reliability.samples import make_samples
from worldmodels_repro.errors import UserError


def fuzz(times: int, seed: int = 1) -> dict[str, Any]:
    """Read ``times`` damaged files; says how many were read, refused, and did worse."""
    rng = random.Random(seed)
    ends: Counter[str] = Counter()
    worse: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        home, outside = Path(scratch) / "run", Path(scratch) / "outside"
        outside.mkdir()
        samples = make_samples(home)
        names = sorted(samples)
        for number in range(times):
            name = names[number % len(names)]
            path = home / name
            good = path.read_bytes()
            path.write_bytes(damaged(good, rng))
            try:
                with redirect_stderr(StringIO()):
                    samples[name](path)
                ends["read"] += 1
            except UserError as error:
                ends["refused"] += 1
                if "\n" in str(error) or not str(error):
                    worse.append(f"{name}: not one line: {error!r}")
            except Exception:
                worse.append(f"{name}: {traceback.format_exc(limit=-2)}")
            path.write_bytes(good)
            if list(outside.iterdir()) or sorted(Path(scratch).iterdir()) != [outside, home]:
                worse.append(f"{name}: something was written outside the run folder")
    return {"name": "fuzz", "times": times, "kinds of files": len(names), **ends,
            "tracebacks": len(worse), "others": worse[:10]}


def damaged(good: bytes, rng: random.Random) -> bytes:
    """One way of being broken: cut, flipped, spliced, nonsense, or well-formed but wrong."""
    arrays = good.startswith(b"PK")
    kind = rng.randrange(9 if arrays else 7)
    if kind > 6:
        return _of_other_arrays(good, rng)
    if kind == 0:
        return good[:rng.randrange(len(good) + 1)]
    if kind == 1:
        flipped = bytearray(good)
        for _ in range(rng.randrange(1, 9)):
            flipped[rng.randrange(len(good))] ^= 1 << rng.randrange(8)
        return bytes(flipped)
    if kind == 2:
        first, second = sorted(rng.randrange(len(good) + 1) for _ in range(2))
        return good[:first] + good[second:]
    if kind == 3:
        return rng.randbytes(rng.randrange(200))
    if kind == 4:
        at = rng.randrange(len(good) + 1)
        return good[:at] + rng.randbytes(rng.randrange(1, 20)) + good[at:]
    words = [b"null", b"[]", b"{}", b"-1", b"1e999", b"NaN", b'"x"', b"true", b"[" * 5000,
             b"!!python/object/apply:os.system ['true']", b"&a [*a]", b"../../outside/x", b"\0",
             b"9" * 5000, b"\xff\xfe", b'{"a":' * 3000]
    if kind == 5:
        return rng.choice(words)
    # A value where another was.
    tokens = good.replace(b",", b"\n").split(b"\n")
    old = rng.choice([token for token in tokens if token.strip()] or [good])
    return good.replace(old.split(b":")[-1].strip() or old, rng.choice(words), 1)


def _of_other_arrays(good: bytes, rng: random.Random) -> bytes:
    """A whole archive, one of whose arrays is of another shape or kind, or gone."""
    with np.load(BytesIO(good), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    name = rng.choice(sorted(arrays))
    array = arrays.pop(name)
    others = [array[None], array.ravel(), array[:0] if array.ndim else array, array.astype(str),
              np.array(3), np.zeros((2, 3), np.uint8), np.array(["x"]), -array.astype(float)]
    if (kind := rng.randrange(len(others) + 1)) < len(others):
        arrays[name] = others[kind]
    data = BytesIO()
    np.savez(data, **arrays)
    return data.getvalue()
