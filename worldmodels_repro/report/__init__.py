"""What a run came to, as tables: plain data, for figures, pages and ``results --json``."""
