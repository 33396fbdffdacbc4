"""Labels of cells: the oracle's paths, named content, and what contradicts."""

import numpy as np
import pytest

from chunking.errors import InputError
from chunking.routes import BICUBIC, EASY, HARD
from sr.router.labels import RouterLabels, merge_classes, path_labels, with_content

MACS = np.array([1.0, 10.0, 100.0])[:, None, None] * np.ones((1, 1, 3))


def errors() -> np.ndarray:
    """[3, 1, 1, 3]: cells that gain nothing, by easy alone, by hard alone."""
    return np.array([[5.0, 500, 500], [5, 10, 490], [5, 9, 10]])[:, None, None, :]


def test_labels_are_the_paths_of_the_oracle_plan():
    labels = path_labels(errors(), MACS, max_loss_db=0.3)
    assert labels.classes.tolist() == [[[BICUBIC, EASY, HARD]]]
    assert labels.names == ("bicubic", "easy", "hard") and labels.paths == (0, 1, 2)


def test_classes_count_from_zero_over_the_paths_there_are():
    labels = path_labels(errors(), MACS, max_loss_db=0.3, paths=(BICUBIC, HARD))
    assert labels.paths == (BICUBIC, HARD)
    assert labels.classes.tolist() == [[[0, 1, 1]]]


def test_a_path_that_no_cell_takes_is_an_error():
    with pytest.raises(InputError, match="no cell of class easy in 1 frames"):
        path_labels(errors()[..., [0, 2]], MACS[..., :2], max_loss_db=0.3)


def test_content_replaces_the_path_of_its_cells():
    classes = np.array([[[0, 1, 2, 0]]])
    labels = RouterLabels(classes, ("bicubic", "easy", "hard"), (BICUBIC, EASY, HARD))
    found = with_content(labels, np.array([[[1, 0, 0, 0]]]), ("flame",))
    assert found.classes.tolist() == [[[3, 1, 2, 0]]]
    assert found.names[3] == "flame" and found.paths[3] == HARD


def test_content_that_never_occurs_is_an_error():
    labels = RouterLabels(np.array([[[0, 1]]]), ("bicubic", "hard"), (BICUBIC, HARD))
    with pytest.raises(InputError, match="no cell of class flame"):
        with_content(labels, np.zeros((1, 1, 2), np.int64), ("flame",))


def test_content_on_another_grid_is_an_error():
    labels = RouterLabels(np.array([[[0, 1]]]), ("bicubic", "hard"), (BICUBIC, HARD))
    with pytest.raises(InputError, match=r"shape \(1, 2, 2\)"):
        with_content(labels, np.ones((1, 2, 2), np.int64), ("flame",))


def test_sources_fill_each_other_in():
    first, second = np.array([[[0, -1, -1]]]), np.array([[[0, 2, -1]]])
    assert merge_classes([first, second]).tolist() == [[[0, 2, -1]]]


def test_labels_that_contradict_are_an_error_that_says_where():
    first, second = np.zeros((2, 2, 2), np.int64), np.zeros((2, 2, 2), np.int64)
    second[1, 0, 1] = 2
    with pytest.raises(InputError, match=r"frame 1, cell \(0, 1\) is labelled both 0 and 2"):
        merge_classes([first, second])
