"""The games: what they are called, how they are drawn for V, and what C's numbers mean there."""

import gymnasium

gymnasium.register(
    id="worldmodels/CarRacingFast-v0",
    entry_point="worldmodels_repro.envs.car_racing:FastCarRacing",
    max_episode_steps=1000,
    reward_threshold=900,
)
gymnasium.register(
    id="worldmodels/TakeCoverFast-v0",
    entry_point="worldmodels_repro.envs.take_cover:fast_take_cover",
    max_episode_steps=2100,
)
gymnasium.register(
    id="worldmodels/Pong-v0",
    entry_point="worldmodels_repro.envs.pong:Pong",
    max_episode_steps=1000,
)
gymnasium.register(
    id="worldmodels/CubeCrash-v0",
    entry_point="worldmodels_repro.envs.cube_crash:CubeCrash",
    max_episode_steps=100,
)
gymnasium.register(
    id="worldmodels/Detector-v0",
    entry_point="worldmodels_repro.envs.detector:Detector",
    max_episode_steps=14,
)
gymnasium.register(
    id="worldmodels/Dream-v0",
    entry_point="worldmodels_repro.worlds.dream_env:DreamEnv",
    vector_entry_point="worldmodels_repro.worlds.dream_env:DreamVectorEnv",
)
gymnasium.register(
    id="worldmodels/Forward-v0",
    entry_point="worldmodels_repro.worlds.forward_env:ForwardEnv",
)
gymnasium.register(
    id="worldmodels/Seen-v0",
    entry_point="worldmodels_repro.worlds.seen_env:SeenEnv",
)
