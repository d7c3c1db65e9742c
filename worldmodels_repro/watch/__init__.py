"""An episode to look at: a scene of the game or of a dream, a film of it, a window."""
