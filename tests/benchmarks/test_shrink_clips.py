"""Clips of benchmarks.shrink: films, folders as VSD4K has them, what is missing, what diverges."""

import json

import cv2
import numpy as np
import pytest
import torch

from benchmarks import shrink
from benchmarks.same_bytes import drifting_pictures, write_film
from benchmarks.shrinking import chunks
from benchmarks.shrinking.clips import SCALE, read_clip, read_spread
from chunking.input_error import InputError
from chunking.lr import downscale
from sr.training.loop import overfit


@pytest.fixture
def vsd4k(tmp_path):
    """Eleven frames: ten, and one for tests."""
    clip = tmp_path / "game_15s_1"
    low = clip / "DIV2K_train_LR_bicubic" / "X4"
    low.mkdir(parents=True)
    (clip / "DIV2K_train_HR").mkdir()
    for i, picture in enumerate(drifting_pictures(11, 400, 704), start=1):
        cv2.imwrite(str(clip / "DIV2K_train_HR" / f"{i:05}.png"), picture[..., ::-1])
        cv2.imwrite(str(low / f"{i:05}_x4.png"), downscale(picture, SCALE)[..., ::-1])
    return clip


def test_a_folder_as_vsd4k_has_it_is_a_clip(vsd4k):
    clip, pictures = read_clip(vsd4k, 99), drifting_pictures(11, 400, 704)
    assert clip.name == "game_15s_1" and len(clip.pairs) == 10
    for pair, picture in zip(clip.pairs, pictures, strict=False):
        assert np.array_equal(pair.hr, picture[20:380, 32:672])
        assert np.array_equal(pair.lr, downscale(picture, SCALE)[5:95, 8:168])
    assert len(read_clip(vsd4k, 3).pairs) == 3


def test_frames_lie_evenly_over_a_film_and_over_pictures(vsd4k, tmp_path):
    film = write_film(tmp_path / "film.mp4", drifting_pictures(30, 96, 128))
    for clip, numbers in ((film, (0, 10, 19, 29)), (vsd4k, (0, 3, 6, 9))):
        whole, found = read_clip(clip, 30), read_spread(clip, 4)
        wanted = [whole.pairs[i] for i in numbers]
        for a, b in zip(found.pairs, wanted, strict=True):
            assert np.array_equal(a.hr, b.hr) and np.array_equal(a.lr, b.lr)
        # More than there are: all of them, once.
        assert len(read_spread(clip, 99).pairs) == len(whole.pairs)


def test_what_is_missing_is_named(vsd4k):
    picture = vsd4k / "DIV2K_train_LR_bicubic" / "X4" / "00002_x4.png"
    cv2.imwrite(str(picture), np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(InputError, match=r"00002_x4.png: its picture is not a 4th of 00002.png"):
        read_clip(vsd4k, 3)
    picture.write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"00002_x4.png: cannot be decoded"):
        read_clip(vsd4k, 3)
    picture.unlink()
    with pytest.raises(InputError, match=r"00002_x4.png: a frame's LR is missing"):
        read_clip(vsd4k, 3)
    picture.parent.rename(vsd4k / "DIV2K_train_LR_bicubic" / "X2")
    with pytest.raises(InputError, match=r"X4: the clip's bicubic LR of scale 4 is missing"):
        read_spread(vsd4k, 3)


@pytest.fixture
def one_arm(monkeypatch, tmp_path):
    """A table's arms as a command, in this process; returns its exit code."""
    monkeypatch.setattr(shrink, "STORE", tmp_path / "store")
    monkeypatch.setattr(
        shrink, "make_rows", lambda tasks, jobs: [shrink.make_row(task) for task in tasks]
    )

    def run(clip, *arms, table="chunks"):
        command = ["shrink", "--table", table, "--clips", str(clip), "--arms", *arms]
        command += ["--seeds", "0", "--steps", "2", "--frames", "2"]
        monkeypatch.setattr("sys.argv", [*command, "--json", str(tmp_path / "result.json")])
        return shrink.main()

    return run


def test_a_clip_that_is_not_there_is_one_line_and_exit_code_3(one_arm, tmp_path, capsys):
    assert one_arm(tmp_path / "none.mp4", "one") == 3
    said = capsys.readouterr().err
    assert said.startswith("shrink: ") and "none.mp4" in said and said.count("\n") == 1


def test_an_arm_that_needs_more_steps_says_so_in_one_line(one_arm, tmp_path, capsys):
    film = write_film(tmp_path / "film.mp4", drifting_pictures(4, 96, 128))
    assert one_arm(film, "chex", table="coded") == 2
    said = capsys.readouterr().err
    assert said.startswith("shrink: --stages chex: ") and "raise --steps to " in said
    assert said.count("\n") == 1


def test_a_training_that_diverges_is_told_and_stops_no_other(
    one_arm, tmp_path, monkeypatch, capsys
):
    def astray(network, sampler, plan):
        overfit(network, sampler, plan)
        if network.arch.widths[0] == 64:
            with torch.no_grad():
                next(network.parameters()).fill_(float("nan"))

    monkeypatch.setattr(chunks, "overfit", astray)
    film = write_film(tmp_path / "film.mp4", drifting_pictures(4, 96, 128))
    assert one_arm(film, "one", "one, four times") == 3
    assert "1 of 2 trainings diverged" in capsys.readouterr().err
    result = json.loads((tmp_path / "result.json").read_text())
    assert [row["arm"] for row in result["rows"]] == ["one"]
    (row,) = result["diverged"]
    assert row["arm"] == "one, four times" and "not finite" in row["diverged"]


def test_rows_of_an_earlier_result_stay_and_are_not_made_again(one_arm, tmp_path, monkeypatch):
    """Of as many steps and frames: what took hours outlives the folder that it was made in."""
    film = write_film(tmp_path / "film.mp4", drifting_pictures(4, 96, 128))
    assert one_arm(film, "one", "time 2") == 0
    file = tmp_path / "result.json"
    earlier = json.loads(file.read_text())
    monkeypatch.setattr(shrink, "STORE", tmp_path / "another")
    monkeypatch.setattr(chunks, "make", None)  # nothing may be made
    assert one_arm(film, "one") == 0
    later = json.loads(file.read_text())
    assert [r["arm"] for r in later["rows"]] == ["one", "time 2"]  # in the table's order
    assert all(row in earlier["rows"] for row in later["rows"])
    assert later["claims"] == earlier["claims"] and list(later["arms"]) == list(earlier["arms"])


@pytest.mark.parametrize(
    ("differs", "said"),
    [
        ({"steps": 3}, "holds rows of steps 3, not 2: give another --json"),
        ({"schema": "pocketsr.shrink/1"}, f"schema pocketsr.shrink/1, not {shrink.SCHEMA}: give"),
    ],
)
def test_rows_of_another_length_or_version_are_no_neighbours(
    one_arm, tmp_path, capsys, differs, said
):
    """Nor are they written over."""
    file = tmp_path / "result.json"
    earlier = {"schema": shrink.SCHEMA, "steps": 2, "frames": 2, "rows": [{"arm": "one"}]}
    text = json.dumps(earlier | differs)
    file.write_text(text)
    assert one_arm(tmp_path / "none.mp4", "one") == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1
    assert file.read_text() == text


def test_a_folder_of_another_layout_is_told_what_it_should_hold(tmp_path):
    for read in (read_clip, read_spread):
        with pytest.raises(InputError, match=r"VSD4K's layout .* DIV2K_train_HR and .*/X4"):
            read(tmp_path, 3)


def test_a_row_of_another_version_is_made_anew(tmp_path, monkeypatch):
    task = shrink.Task("chunks", tmp_path / "a.mp4", 0, "one", 2, 2)
    kept = task.kept
    monkeypatch.setattr(shrink, "SCHEMA", "pocketsr.shrink/3")
    assert task.kept != kept and {**task.kept, "schema": kept["schema"]} == kept
