"""From a package to HR frames through the engine's C interface."""

import numpy as np
import pytest

from player.session import NotAPackageError, open_package
from player.upscale import upscale


def test_every_frame_takes_its_routes_in_order_of_time(made_package, engine, expected_hr):
    problems = []
    frames = list(upscale(open_package(made_package), engine, 2, problems.append))

    assert problems == []
    assert [f.index for f in frames] == list(range(20))
    assert [f.pts for f in frames] == [40 * i + 7 * (i % 3) for i in range(20)]
    for i, frame in enumerate(frames):
        np.testing.assert_array_equal(frame.rgb, expected_hr(i), err_msg=f"frame {i}")


def test_limit_stops_early_and_ends_the_decoding_thread(made_package, engine):
    assert len(list(upscale(open_package(made_package), engine, limit=3))) == 3


def test_a_folder_without_video_is_not_a_package(tmp_path):
    with pytest.raises(NotAPackageError, match=r"no video/init\.mp4") as caught:
        open_package(tmp_path)
    assert caught.value.exit_code == 3
