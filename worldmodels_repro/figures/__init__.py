"""What the figures stage draws with: each function turns a table into one figure."""
