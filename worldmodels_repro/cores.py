"""How many cores there are for this process: the one place that asks."""


def usable_cores() -> int:
    """Cores this process may use: those of the machine, its affinity's, its container's."""
    import joblib  # not for workers: they never ask, and it takes them time and memory

    return int(joblib.cpu_count())
