"""Settings, a section a stage: every key typed and explained where it is declared."""

from worldmodels_repro.sections.classify import Classify
from worldmodels_repro.sections.controller import Controller
from worldmodels_repro.sections.evaluate import Evaluate
from worldmodels_repro.sections.evolve import Evolve, Ppo
from worldmodels_repro.sections.forward import Forward
from worldmodels_repro.sections.kinds import (
    CLIMBING,
    EVOLVED,
    SPEED,
    WORLDS,
    Evolved,
    GameName,
    Section,
    TrackerName,
    World,
    in_words,
)
from worldmodels_repro.sections.learn import Learn
from worldmodels_repro.sections.memory import Memory
from worldmodels_repro.sections.pretrain import Frames, Pretrain
from worldmodels_repro.sections.rollouts import Rollouts
from worldmodels_repro.sections.vae import Vae

__all__ = [
    "CLIMBING", "EVOLVED", "SPEED", "WORLDS", "Classify", "Controller", "Evaluate", "Evolve",
    "Evolved", "Forward", "Frames", "GameName", "Learn", "Memory", "Ppo", "Pretrain", "Rollouts",
    "Section", "TrackerName", "Vae", "World", "in_words",
]
