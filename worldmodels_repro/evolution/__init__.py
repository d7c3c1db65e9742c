"""How C is evolved: the strategy (CMA-ES) and the pool of those who play for it."""
