"""The Planetoid files' form, written small; files that would run something are refused."""

import pickle
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from benchmarks.reproduction.datasets_planetoid import load_planetoid
from chunking.input_error import InputError

NODES, KNOWN, TRAIN = 530, 520, 4
ORDER = [527, 522, 520, 529]  # of 10 test nodes four are in the graph, in this order


def _write(folder: Path) -> np.ndarray:
    """Returns the features as they should be found, before they are normalised."""
    rng = np.random.default_rng(0)
    features = (rng.random((NODES, 6)) < 0.5).astype(np.float32)
    features[[521, 523, 524, 525, 526, 528]] = 0
    labels = np.eye(3, dtype=np.int32)[np.arange(NODES) % 3]
    graph = defaultdict(list, {0: [1, 1, 0], 1: [0], 2: [529], 529: [2]})
    parts = {
        "x": csr_matrix(features[:TRAIN]),
        "tx": csr_matrix(features[ORDER]),
        "allx": csr_matrix(features[:KNOWN]),
        "ty": labels[ORDER],
        "ally": labels[:KNOWN],
        "graph": graph,
    }
    for name, part in parts.items():
        (folder / f"ind.tiny.{name}").write_bytes(pickle.dumps(part, protocol=4))
    (folder / "ind.tiny.test.index").write_text("\n".join(map(str, ORDER)))
    return features


def test_rows_are_put_in_order_and_normalised(tmp_path: Path) -> None:
    features = _write(tmp_path)
    found = load_planetoid(tmp_path, "tiny")
    sums = np.maximum(features.sum(axis=1, keepdims=True), 1e-12)
    np.testing.assert_allclose(found.features.toarray(), features / sums, rtol=1e-6)
    assert found.labels[ORDER].tolist() == [i % 3 for i in ORDER]
    assert found.labels[:KNOWN].tolist() == [i % 3 for i in range(KNOWN)]


def test_edges_are_held_once_without_loops(tmp_path: Path) -> None:
    _write(tmp_path)
    assert load_planetoid(tmp_path, "tiny").pairs.tolist() == [[0, 1], [2, 529]]


def test_the_public_split(tmp_path: Path) -> None:
    _write(tmp_path)
    found = load_planetoid(tmp_path, "tiny")
    assert np.flatnonzero(found.train).tolist() == [0, 1, 2, 3]
    assert np.flatnonzero(found.val).tolist() == list(range(TRAIN, TRAIN + 500))
    assert np.flatnonzero(found.test).tolist() == sorted(ORDER)


def test_a_file_that_asks_for_code_runs_none(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return Path.touch, (tmp_path / "ran",)

    _write(tmp_path)
    (tmp_path / "ind.tiny.graph").write_bytes(pickle.dumps(Evil(), protocol=4))
    with pytest.raises(InputError, match=r"ind\.tiny\.graph: not a Planetoid file"):
        load_planetoid(tmp_path, "tiny")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("part", ["x", "graph", "test.index"])
def test_a_missing_file_is_named(tmp_path: Path, part: str) -> None:
    _write(tmp_path)
    (tmp_path / f"ind.tiny.{part}").unlink()
    with pytest.raises(InputError, match=f"ind.tiny.{part}"):
        load_planetoid(tmp_path, "tiny")


@pytest.mark.parametrize(
    ("part", "content"),
    [
        ("allx", b""),
        ("allx", pickle.dumps(np.zeros((5, 9)), protocol=4)),
        ("ally", b"not a pickle"),
        ("graph", pickle.dumps({0: [9999]}, protocol=4)),
        ("graph", pickle.dumps([1, 2], protocol=4)),
        ("test.index", b"one\n"),
        ("test.index", b"2\n"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, part: str, content: bytes) -> None:
    _write(tmp_path)
    (tmp_path / f"ind.tiny.{part}").write_bytes(content)
    with pytest.raises(InputError, match=r"ind\.tiny\."):
        load_planetoid(tmp_path, "tiny")
