"""From a package to HR frames through the engine's C interface."""

import numpy as np
import pytest

from player.networks import load_networks
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


def test_only_a_trusted_signers_networks_are_run(
    made_package, engine, generic_folder, expected_hr, lr_frames
):
    signer = open_package(made_package).signer
    frame = next(upscale(open_package(made_package, frozenset({signer})), engine))
    np.testing.assert_array_equal(frame.rgb, expected_hr(0))

    stranger = open_package(made_package, frozenset({"another key"}))
    assert stranger.signer is None and "not among the trusted" in stranger.problems[0].reason
    frame = next(upscale(stranger, engine))
    hard = (lr_frames[0] + np.uint8(2 * 9)).repeat(2, 0).repeat(2, 1)[:70, :94]
    np.testing.assert_array_equal(frame.rgb, hard)


def test_frames_that_are_not_wanted_are_left_out_and_keep_the_others_routes(
    made_package, engine, expected_hr
):
    frames = list(upscale(open_package(made_package), engine, wanted=lambda pts: pts % 40 == 0))
    assert [f.index for f in frames] == list(range(0, 20, 3))
    for frame in frames:
        np.testing.assert_array_equal(frame.rgb, expected_hr(frame.index))


def test_a_network_that_is_not_there_is_bicubic(made_package, engine):
    networks = load_networks(open_package(made_package), engine, print)
    patches = np.array([[0, 0, 9, 9, 1, 2], [0, 9, 9, 9, 15, 2], [0, 18, 9, 9, 0, 1]], np.int32)
    assert networks.resolve(patches)[:, 4:].tolist() == [[1, 2], [0, 0], [0, 1]]
