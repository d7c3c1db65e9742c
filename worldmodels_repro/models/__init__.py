"""V, M and C: V and M in Keras for training, and in fast inference for those who act."""
