"""Who acts: at random, or with V, M and C."""
