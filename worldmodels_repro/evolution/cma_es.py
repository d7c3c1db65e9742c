"""CMA-ES on C's weights (appendix A.4), by pycma, with its whole state as data.

pycma's own way to stop and go on is a pickle that leaves the random state out. Here every
number in its object graph is named and written, and put back into a strategy made anew, so a
resumed run asks for the same candidates to the last bit. Its linear algebra has one thread: with
two, last digits are others, and a run that goes on elsewhere would not be the same run.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from typing import Any

import cma
import numpy as np
from threadpoolctl import threadpool_limits

from worldmodels_repro.errors import UserError
from worldmodels_repro.storage import Arrays
from worldmodels_repro.worlds.agent import Spread

# What is no state: options and code, the same in a strategy made anew, and wall-clock timers.
_SKIPPED = {"opts", "inopts", "inputargs", "logger", "timer", "more_to_write", "gp", "_stopdict",
            "boundary_handler", "callbackstop", "sent_solutions", "randn"}
_SECOND = {"es.mean_old_old"}  # what pycma makes no earlier than at the second generation
_SCALARS = (bool, int, float, str, type(None), np.bool_, np.integer, np.floating)


class CmaEs:
    """A :class:`~worldmodels_repro.evolution.strategies.Strategy`.

    Args:
        start: (n,) the first mean.
        sigma: the first step size.
        population: candidates a generation.
        seed: of every draw.
        diagonal: adapt variances only.
    """

    def __init__(self, start: np.ndarray, sigma: float, population: int, seed: int,
                 diagonal: bool = False):
        self._rng = np.random.default_rng(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pycma warns that it will not seed NumPy: good
            self._cma = cma.CMAEvolutionStrategy(np.asarray(start, float), sigma, {
                "popsize": population, "randn": self._randn, "seed": np.nan,
                "CMA_diagonal": diagonal, "CMA_mirrors": 0,
                "AdaptSigma": cma.sigma_adaptation.CMAAdaptSigmaCSA,
                "verbose": -9, "verb_log": 0, "verb_disp": 0,
            })

    def _randn(self, *shape: int) -> np.ndarray:
        return self._rng.standard_normal(shape)

    @property
    def mean(self) -> np.ndarray:
        """(n,) the distribution's mean."""
        return np.array(self._cma.mean)

    @property
    def sigma(self) -> float:
        """The overall step size."""
        return float(self._cma.sigma)

    def ask(self, times: int = 1) -> np.ndarray:
        """(times x population, n) candidates."""
        with threadpool_limits(1, "blas"):
            return np.array(self._cma.ask(times * self._cma.popsize))

    def tell(self, candidates: np.ndarray, fitness: np.ndarray) -> None:
        """Fitness (population,) of candidates (population, n); one that failed is not finite.

        Raises:
            ValueError: all of them failed.
        """
        finite = np.isfinite(fitness)
        if not finite.any():
            raise ValueError("every candidate of the generation failed")
        # A failed candidate ranks last.
        cost = -np.where(finite, fitness, fitness[finite].min() - 1.0)
        with threadpool_limits(1, "blas"):
            self._cma.tell(list(candidates), list(cost))

    def shrink(self, share: float) -> None:
        """The step size is multiplied by this."""
        self._cma.sigma *= share

    def state(self) -> Arrays:
        """Every number of the strategy, random state included, between two generations."""
        arrays: Arrays = {}
        plain: dict[str, Any] = {"cma": cma.__version__, "rng": self._rng.bit_generator.state}
        where: dict[int, str] = {}
        for path, holder, name in _leaves(self._cma):
            value = getattr(holder, name)
            if isinstance(value, np.ndarray):
                # pycma names one array in several places (es.C is es.sm.C): so must the copy.
                if id(value) in where:
                    plain[path] = {"same as": where[id(value)]}
                else:
                    where[id(value)] = path
                    arrays[path] = value
            else:
                plain[path] = _to_plain(value)
        arrays["plain"] = np.frombuffer(json.dumps(plain).encode(), np.uint8)
        return arrays

    def restore(self, state: Arrays, source: str) -> None:
        """Undo :meth:`state` on a strategy made with the same arguments.

        Raises:
            UserError: the state does not fit, or another pycma wrote it.
        """
        try:
            plain = json.loads(state["plain"].tobytes().decode())
            written_by = plain.pop("cma", cma.__version__)  # the first checkpoints do not say
            if written_by != cma.__version__:
                raise UserError(f"{source} was written by cma {written_by}, and {cma.__version__} "
                                f"is installed: type pip install cma=={written_by} to go on, or "
                                "remove the evolve folder to start again")
            mean, (n,) = state["es.mean"], self._cma.mean.shape
            if mean.shape != (n,):
                raise ValueError(f"its mean has shape {mean.shape}, not ({n},)")
            random = plain.pop("rng")
            # pycma makes some of its objects at the first generation: have one, then overwrite it.
            if self._cma.countiter == 0:
                self._cma.tell(self._cma.ask(), list(range(self._cma.popsize)))
            expected = {path for path, _, _ in _leaves(self._cma)}
            there = plain.keys() | state.keys() - {"plain"}
            for does, keys in (("lacks", expected - there), ("also holds", there - expected)):
                if keys := keys - _SECOND:
                    raise ValueError(f"it {does} {min(keys)}")
            self._rng.bit_generator.state = random
            values: dict[str, Any] = {}
            for path, array in state.items():
                if path != "plain":
                    values[path] = np.array(array, order="K")  # B is column-major: BLAS minds
            for path, value in plain.items():
                values[path] = (values[value["same as"]]
                                if isinstance(value, dict) and "same as" in value
                                else _from_plain(value))
            for path in sorted(values, key=lambda path: path.count(".")):
                holder: Any = self._cma
                *parents, name = path.split(".")[1:]
                for parent in parents:
                    holder = vars(holder)[parent]
                vars(holder)[name] = values[path]
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise UserError(f"{source} is not the state of this run's strategy ({error}): remove "
                            "the evolve folder to start again") from None


def spread(state: Arrays, source: str) -> Spread:
    """The distribution that the next candidates are drawn from, of a :meth:`CmaEs.state`.

    Raises:
        UserError: it is no such state.
    """
    try:
        plain = json.loads(state["plain"].tobytes().decode())
        mean, sigma = state["es.mean"], float(_from_plain(plain["es.sigma"]))
        if "es.sm.C" in state:
            root = np.linalg.cholesky(state["es.sm.C"])
        else:  # variances only
            root = np.diag(np.broadcast_to(state["es.sigma_vec.scaling"], mean.shape))
        return Spread(mean, sigma * root)
    except (KeyError, ValueError, TypeError, np.linalg.LinAlgError) as error:
        raise UserError(f"{source} is not a strategy's state ({error}): remove the evolve folder "
                        "of that run and evolve it again") from None


def _leaves(strategy: Any) -> Iterator[tuple[str, Any, str]]:
    """(path, object, attribute) of each number, array or list of them below ``strategy``."""
    seen: set[int] = set()

    def walk(holder: Any, path: str) -> Iterator[tuple[str, Any, str]]:
        if id(holder) in seen:
            return
        seen.add(id(holder))
        for name, value in vars(holder).items():
            if name in _SKIPPED:
                continue
            if isinstance(value, (np.ndarray, *_SCALARS)) or _is_list_of_numbers(value):
                yield f"{path}.{name}", holder, name
            elif type(value).__module__.startswith("cma.") and hasattr(value, "__dict__"):
                yield from walk(value, f"{path}.{name}")

    yield from walk(strategy, "es")


def _is_list_of_numbers(value: Any) -> bool:
    return type(value) in (list, tuple) and all(isinstance(item, _SCALARS) for item in value)


def _to_plain(value: Any) -> Any:
    """JSON keeps Python's floats to the last bit; NumPy's are marked, to come back as such."""
    if isinstance(value, np.generic):
        return {"numpy": value.dtype.str, "value": value.item()}
    if isinstance(value, (list, tuple)):
        return {type(value).__name__: [_to_plain(item) for item in value]}
    return value


def _from_plain(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if "numpy" in value:
        return np.dtype(value["numpy"]).type(value["value"])
    kind, items = next(iter(value.items()))
    return {"list": list, "tuple": tuple}[kind](_from_plain(item) for item in items)
