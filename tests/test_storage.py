"""Files: whole or not at all, and never run."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import numpy as np
import pytest

from worldmodels_repro.errors import UserError
from worldmodels_repro.storage import (
    append_json_line,
    load_csv,
    load_json,
    load_json_lines,
    load_npz,
    save_csv,
    save_npz,
    write_atomically,
)


@pytest.mark.parametrize("level", [0, 1])
def test_npz_round_trip_is_a_numpy_file(tmp_path: Path, level: int) -> None:
    arrays = {"a/b": np.arange(6).reshape(2, 3), "c": np.asfortranarray(np.eye(3))}
    save_npz(tmp_path / "x.npz", arrays, level)
    with np.load(tmp_path / "x.npz") as archive:
        np.testing.assert_array_equal(archive["a/b"], arrays["a/b"])
    assert load_npz(tmp_path / "x.npz")["c"].flags.f_contiguous


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    save_npz(path, {"a": np.zeros(3)})

    def fail(file: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_atomically(path, fail)
    assert load_npz(path)["a"].shape == (3,)
    assert [item.name for item in tmp_path.iterdir()] == ["x.npz"]


def test_every_truncation_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    save_npz(path, {"a": np.arange(100), "b": np.arange(3)})
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"x\.npz"):
            load_npz(path)


def test_pickled_objects_are_refused_unread(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (str(tmp_path / "sprung"),))

    np.savez(tmp_path / "x.npz", a=np.array([Trap()], dtype=object))
    (tmp_path / "y.npz").write_bytes(pickle.dumps(Trap()))
    (tmp_path / "z.npz").write_bytes(b"rubbish" * 9)
    (tmp_path / "empty.npz").touch()
    np.save(tmp_path / "one.npy", np.zeros(3))
    (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    for name in ("x", "y", "z", "empty", "one"):
        with pytest.raises(UserError, match=rf"{name}\.npz .*run its stage again") as raised:
            load_npz(tmp_path / f"{name}.npz")
        # NumPy's own words tell how to have such a file run.
        assert not re.search("pickle|unsafe|trust", str(raised.value).replace(str(tmp_path), ""))
    assert not (tmp_path / "sprung").exists()


def test_a_line_cut_by_a_crash_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    append_json_line(path, {"a": 1})
    with path.open("ab") as file:
        file.write(b'{"a": 2, "b"')
    append_json_line(path, {"a": 3})
    assert load_json_lines(path, dict) == [{"a": 1}, {"a": 3}]


def test_csv_round_trip_keeps_numbers(tmp_path: Path) -> None:
    rows = [{"n": 1, "x": 0.1, "none": None}, {"n": 2, "x": 1e-17, "none": None}]
    save_csv(tmp_path / "x.csv", rows)
    assert load_csv(tmp_path / "x.csv") == rows


def test_broken_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(UserError, match=r"x\.json"):
        load_json(tmp_path / "x.json", dict)
