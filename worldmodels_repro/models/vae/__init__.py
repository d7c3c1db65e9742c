"""V: the variational autoencoder, for training and for workers."""
