"""Networks that predict frames: a file each, trained by Keras, played without it."""
