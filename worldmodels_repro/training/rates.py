"""Learning rates over training."""

from __future__ import annotations


def cooled(rate: float, cool: float, done: float) -> float:
    """The rate when the share ``done`` of training is over.

    It stands still, then falls to a hundredth over the last share ``cool``, in a straight line.
    """
    return rate if done <= 1 - cool else rate * max(0.01, (1 - done) / cool)


def decayed(rate: float, decay: float, least: float, step: int) -> float:
    """The rate at a step: multiplied by ``decay`` at each, down to ``least`` (appendix A.2)."""
    return max(least, rate * decay**step)
