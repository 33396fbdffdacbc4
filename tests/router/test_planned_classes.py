"""Labels of cells: the oracle's paths, and what becomes of a path that is no class."""

import numpy as np

from player.package.paths import BICUBIC, EASY, HARD
from sr.router.views import planned_classes

MACS = np.array([1.0, 10.0, 100.0])[:, None, None] * np.ones((1, 1, 3))


def errors() -> np.ndarray:
    """[3, 1, 1, 3]: cells that gain nothing, by easy alone, by hard alone."""
    return np.array([[5.0, 500, 500], [5, 10, 490], [5, 9, 10]])[:, None, None, :]


def classes(*paths: int) -> list[list[list[int]]]:
    found: list[list[list[int]]] = planned_classes(errors(), MACS, 0.3, paths).tolist()
    return found


def test_labels_are_the_paths_of_the_oracle_plan():
    assert classes(BICUBIC, EASY, HARD) == [[[0, 1, 2]]]
    assert planned_classes(errors(), MACS, 0.3).tolist() == [[[BICUBIC, EASY, HARD]]]


def test_a_path_that_is_no_class_becomes_the_next_dearer_one():
    assert classes(BICUBIC, HARD) == [[[0, 1, 1]]]
    assert classes(EASY, HARD) == [[[0, 0, 1]]]
    assert classes(BICUBIC, EASY) == [[[0, 1, 1]]]  # there is none dearer


def test_classes_count_in_the_order_of_the_paths():
    assert classes(HARD, BICUBIC) == [[[1, 0, 0]]]
