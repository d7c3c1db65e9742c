"""World Models (Ha & Schmidhuber, 2018), reproduced: V sees, M remembers, C acts."""

__version__ = "0.1.0"
