"""Learners by gradient: what they remember, how they explore, DQN and TD3."""
