"""Numbers on a command line: read, and refused where they can't be meant."""

from __future__ import annotations

from argparse import ArgumentTypeError


def temperature(text: str) -> float:
    """A temperature that dreams can have."""
    value = float(text)
    if not 0.01 <= value <= 10:
        raise ArgumentTypeError(f"{text} is not a temperature: 0.01 to 10 is allowed")
    return value


def temperatures(text: str) -> list[float]:
    """Temperatures, with commas between them."""
    return list(dict.fromkeys(temperature(part) for part in text.split(",")))


def count(text: str) -> int:
    """1 or more."""
    if (value := int(text)) < 1:
        raise ArgumentTypeError(f"{text} is not allowed: 1 or more")
    return value


def seed(text: str) -> int:
    """A seed as games take them."""
    if not 0 <= (value := int(text)) < 2**31:
        raise ArgumentTypeError(f"{text} is not a seed: 0 to 2147483647 is allowed")
    return value
