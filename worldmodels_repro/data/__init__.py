"""Episodes on disk, and how V's frames and M's sequences are drawn from them."""
