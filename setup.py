"""What goes into the package: its code, and the files of the checkout that it reads.

What the project is, and what it needs, stands in pyproject.toml.
"""

from setuptools import find_packages, setup

# The one copy of each lies where people look for it (worldmodels_repro/resources.py finds it).
DATA = {
    "worldmodels_repro.configs": ("configs", ["*.yaml", "*/*.yaml"]),
    "worldmodels_repro.aws": ("aws", ["*.yaml", "user-data.sh"]),
    "worldmodels_repro.benchmarks": ("docs/results/benchmarks", ["*.jsonl"]),
}

setup(
    packages=[*find_packages(include=["worldmodels_repro", "worldmodels_repro.*"]), *DATA],
    package_dir={package: folder for package, (folder, _) in DATA.items()},
    package_data={"worldmodels_repro": ["py.typed"],
                  "worldmodels_repro.article": ["kernel.c", "kernel.wasm", "web/*"],
                  **{package: patterns for package, (_, patterns) in DATA.items()}},
)
