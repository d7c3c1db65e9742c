"""The car's game, of which a tenth is judged: gymnasium draws a hundred frames a second."""

from __future__ import annotations

from dataclasses import replace

from worldmodels_repro.envs.registry import game_named

GAME = replace(game_named("car_racing"), name="short", max_steps=100)
