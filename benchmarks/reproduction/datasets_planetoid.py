"""Cora and Citeseer as Planetoid publishes them (Yang et al. 2016): ind.<name>.x, .tx, .allx, ...

Pickles of Python 2. They are read by an unpickler that knows the five classes which they hold
and no other, so that a file can make arrays and lists and can run nothing.
"""

import pickle
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack

from benchmarks.reproduction.datasets import existing
from chunking.input_error import InputError

VAL_NODES = 500
_RECONSTRUCT = np.zeros(0).__reduce__()[0]
# By the names of today's packages and by those of the time when the files were written.
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("scipy.sparse._csr", "csr_matrix"): csr_matrix,
    ("scipy.sparse.csr", "csr_matrix"): csr_matrix,
    ("collections", "defaultdict"): defaultdict,
    ("builtins", "list"): list,
    ("__builtin__", "list"): list,
}


@dataclass(frozen=True)
class CitationGraph:
    """`features` CSR [N, F], each row summing to 1 (or empty); `labels` [N]; `pairs` [P, 2] each
    once, i < j; the public split as masks [N]."""

    features: Any
    labels: NDArray[np.int64]
    pairs: NDArray[np.int64]
    train: NDArray[np.bool_]
    val: NDArray[np.bool_]
    test: NDArray[np.bool_]


class _PlainData(pickle.Unpickler):
    """Refuses every class but those of arrays, sparse matrices and adjacency lists."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return _ALLOWED[module, name]


def load_planetoid(folder: Path, name: str) -> CitationGraph:
    """`name`: cora or citeseer. Raises InputError for a missing or damaged file."""
    x, tx, allx, ty, ally, graph = (
        _read(folder / f"ind.{name}.{part}") for part in ("x", "tx", "allx", "ty", "ally", "graph")
    )
    order = _test_order(folder / f"ind.{name}.test.index")
    try:
        features, labels = _ordered(allx, tx, order), _ordered(ally, ty, order)
        nodes = features.shape[0]
        return CitationGraph(
            _row_normalised(features),
            np.asarray(labels.argmax(axis=1)).ravel().astype(np.int64),
            _pairs(graph, nodes),
            *_split(nodes, x.shape[0], order),
        )
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise InputError(
            f"{folder}/ind.{name}.*: files that do not belong together ({error}); fetch them again"
        ) from error


def _read(path: Path) -> Any:
    existing(path, "a Planetoid graph", "give the folder above planetoid with --sets")
    try:
        with path.open("rb") as file:
            return _PlainData(file, encoding="latin1").load()
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, IndexError, KeyError) as error:
        raise InputError(f"{path}: not a Planetoid file ({error}); fetch it again") from error


def _test_order(path: Path) -> NDArray[np.int64]:
    existing(path, "a Planetoid graph", "give the folder above planetoid with --sets")
    try:
        return np.loadtxt(path, dtype=np.int64, ndmin=1)
    except ValueError as error:
        raise InputError(f"{path}: not node numbers, one a line; fetch it again") from error


def _ordered(known: Any, test: Any, order: NDArray[np.int64]) -> csr_matrix:
    """Rows of all nodes: the test rows come shuffled; Citeseer's isolated nodes have none."""
    nodes = max(int(order.max()) + 1, known.shape[0] + test.shape[0])
    placed = csr_matrix((nodes - known.shape[0], test.shape[1]), dtype=np.float64).tolil()
    placed[order - known.shape[0]] = csr_matrix(test, dtype=np.float64)
    return vstack([csr_matrix(known, dtype=np.float64), placed.tocsr()]).tocsr()


def _row_normalised(features: csr_matrix) -> csr_matrix:
    sums = np.maximum(np.asarray(features.sum(axis=1)).ravel(), 1e-12)
    return features.multiply(1 / sums[:, None]).tocsr()


def _pairs(graph: dict[int, list[int]], nodes: int) -> NDArray[np.int64]:
    found = {(min(i, j), max(i, j)) for i, ends in graph.items() for j in ends if i != j}
    pairs = np.array(sorted(found), np.int64).reshape(-1, 2)
    if pairs.size and not 0 <= pairs.min() <= pairs.max() < nodes:
        raise ValueError("an edge to a node that does not exist")
    return pairs


def _split(nodes: int, trained: int, order: NDArray[np.int64]) -> tuple[NDArray[np.bool_], ...]:
    """The first nodes train, the next 500 validate, the test index tests."""
    masks = np.zeros((3, nodes), bool)
    masks[0, :trained] = True
    masks[1, trained : trained + VAL_NODES] = True
    masks[2, order] = True
    return tuple(masks)
