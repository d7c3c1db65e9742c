"""Package metadata, all of it: names, versions, dependencies and extras live here alone."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent

# Bounds are the versions the suite was run on, up to the next that may break it.
# constraints.txt holds the exact set for a repeatable install.
REQUIRED = [
    # V and M
    "tensorflow>=2.18,<2.23",
    "keras>=3.8,<4",
    # inference in workers, without TensorFlow
    "openvino>=2025.2,<2027",
    # worlds
    "gymnasium[box2d]>=1.2.3,<1.5",
    "opencv-python-headless>=4.10,<6",
    "numpy>=2.0,<3",
    # evolution, here and on many machines
    "cma>=4.4,<4.6",
    "mpi4py>=4.1,<5",
    "mpich>=4.3,<6",
    "boto3>=1.38,<2",
    # configuration and progress
    "pydantic>=2.11,<3",
    "typing-extensions>=4.12,<5",
    "ruamel.yaml>=0.18,<0.20",
    "tqdm>=4.67,<5",
    # cores, and one process at a time
    "joblib>=1.4,<2",
    "filelock>=4.0,<5",
    # figures
    "matplotlib>=3.10,<4",
    "scikit-learn>=1.6,<2",
    "imageio>=2.37,<3",
    "pillow>=11,<14",
    "threadpoolctl>=3.5,<4",
    "tensorboard>=2.18,<3",
]

EXTRAS = {
    "gpu": ["tensorflow[and-cuda]>=2.18,<2.23"],
    "doom": ["vizdoom>=1.3,<2"],
    # trackers
    "wandb": ["wandb>=0.31,<1"],
    # its store in a file is SQLAlchemy's
    "mlflow": ["mlflow-skinny>=3.17,<4", "sqlalchemy>=2.0,<3", "alembic>=1.14,<2"],
    # to test that other libraries can train in the dream
    "sb3": ["stable-baselines3>=2.7,<3", "torch>=2.8,<3"],
    "dev": [
        "pytest>=8.4,<10",
        "pytest-xdist>=3.8,<4",
        "scipy>=1.15,<2",
        "moto[server]>=5.1,<6",
        "cfn-lint>=1.35,<2",
        "asyncssh>=2.21,<3",
        "hypothesis>=6.130,<7",
        "ruff>=0.12,<0.18",
        "mypy>=1.16,<3",
        "types-tqdm>=4.67,<5",
    ],
}

setup(
    name="worldmodels-repro",
    version="0.1.0",
    description="World Models (Ha & Schmidhuber, 2018), reproduced on the machine you have",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.11,<3.14",
    packages=find_packages(include=["worldmodels_repro", "worldmodels_repro.*"]),
    install_requires=REQUIRED,
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["worldmodels=worldmodels_repro.cli:main"]},
)
