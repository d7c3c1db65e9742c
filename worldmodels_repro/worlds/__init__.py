"""Where a controller lives: the real game, or M's dream. It cannot tell which."""
