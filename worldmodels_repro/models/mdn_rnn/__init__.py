"""M: the mixture-density recurrent network, for training, for workers and for dreams."""
