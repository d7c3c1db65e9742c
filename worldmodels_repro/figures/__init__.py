"""What the figures stage draws with: each function turns a run folder into one figure."""
