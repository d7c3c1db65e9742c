"""How V and M learned: losses on training and held-out data, from their ``history.csv``."""

from __future__ import annotations

from typing import Any

from worldmodels_repro.errors import UserError
from worldmodels_repro.run import Run
from worldmodels_repro.storage import load_csv, needed
from worldmodels_repro.tables import Column, Curve, MemoryCurves, VaeCurves

Rows = list[dict[str, Any]]


def vae_curves(run: Run) -> VaeCurves:
    """V's loss and its two terms by epoch.

    Raises:
        UserError: V has not been trained for an epoch.
    """
    rows, settings = _history(run, "vae"), run.config.vae
    return {"epoch": _column(rows, "epoch"), "loss": _curve(rows, "loss"),
            "reconstruction": _curve(rows, "reconstruction"), "kl": _curve(rows, "kl"),
            "tolerance": settings.kl_tolerance * settings.z}


def memory_curves(run: Run) -> MemoryCurves:
    """M's negative log-likelihood, and how its other heads do, by gradient step.

    Raises:
        UserError: M has not been trained up to its first validation.
    """
    rows = _history(run, "memory")
    return {"step": _column(rows, "step"), "nll": _curve(rows, "nll"),
            "endings": {"recall": _column(rows, "val_done_recall"),
                        "precision": _column(rows, "val_done_precision")}
            if "val_done_recall" in rows[-1] else None,
            "reward": _curve(rows, "reward_loss") if "val_reward_loss" in rows[-1] else None}


def _history(run: Run, stage: str) -> Rows:
    path = needed(run.folder(stage) / "history.csv", stage)
    rows = load_csv(path)
    if not rows:
        raise UserError(f"{path} holds no row yet")
    return rows


def _curve(rows: Rows, name: str) -> Curve:
    return {"training": _column(rows, name), "held_out": _column(rows, f"val_{name}")}


def _column(rows: Rows, name: str) -> Column:
    """One column; what is empty, or was never written, is None."""
    return [row.get(name) for row in rows]
