"""int8 packages: what an encode makes by default, what decides it, and that a cut costs nothing."""

import json

import numpy as np
import pytest

from player.engines import engine_of
from player.package.index import read_index
from player.package.paths import HARD
from player.package.weights import FLOAT16, INT8_CODED, WeightsBlob, unpack_weights
from player.session import open_package
from player.upscale import upscale
from sr.encode.encode import encode
from sr.encode.options import EncodeOptions
from sr.progress import Progress
from sr.quant import finetune
from sr.quant.integer_network import IntegerNetwork
from sr.usage_error import UsageError
from tests.sr.conftest import drifting_pictures, write_film
from tests.sr.test_cli import FAST, pocketsr, refused
from tests.sr.test_encode import contents, run


def blobs_of(package) -> list[WeightsBlob]:
    entries = read_index(package).index.weights
    return [unpack_weights((package / entry.file).read_bytes()) for entry in entries]


def warnings_of(film, out, **options) -> list[str]:
    told: list[str] = []

    class Listening(Progress):
        def warn(self, message: str) -> None:
            told.append(message)

    options = {"scale": 2, "steps": 2, "frames": 2, "lr_codec": "lossless", **options}
    with Listening() as progress:
        encode(EncodeOptions.of(film, out, threads=1, **options), progress)
    return told


@pytest.mark.parametrize("method", ["dydca", "jstdo", "stdo"])
def test_packages_are_int8_and_say_what_it_cost(film, tmp_path, method):
    report = run(film, tmp_path / "p", method=method, chunks=2, frames=4, steps=20)
    blobs = blobs_of(tmp_path / "p")
    assert {blob.dtype for blob in blobs} == {INT8_CODED}
    assert report["dtype"] == "int8"
    # 40 % of all steps, a tenth more than were asked for; of two networks each half of them.
    assert report["fine_tuning_steps"] == {"stdo": 2 * 4}.get(method, 9)
    assert len(report["quantisation_loss_db"]) == len(blobs)
    assert all(abs(loss_db) < 1 for loss_db in report["quantisation_loss_db"])
    assert json.loads((tmp_path / "p" / "job.json").read_text())["dtype"] == "int8"


def test_fp32_packages_are_not_fine_tuned(film, tmp_path):
    report = run(film, tmp_path / "p", dtype="fp32", frames=2)
    assert [blob.dtype for blob in blobs_of(tmp_path / "p")] == [FLOAT16]
    assert (report["dtype"], report["fine_tuning_steps"]) == ("fp32", 0)
    assert report["quantisation_loss_db"] == [None]


def test_the_default_and_int8_are_one_job_and_fp32_another(film, tmp_path):
    run(film, tmp_path / "p", frames=2)
    run(film, tmp_path / "p", frames=2, dtype="int8")
    with pytest.raises(UsageError, match=r"dtype int8 -> fp32"):
        run(film, tmp_path / "p", frames=2, dtype="fp32")


def test_wdsr_stays_fp32_with_a_word_and_refuses_int8(film, tmp_path):
    options = {"method": "jstdo", "backbone": "wdsr"}
    (told,) = warnings_of(film, tmp_path / "p", **options)
    assert told.startswith("wdsr has no int8 form")
    assert [blob.dtype for blob in blobs_of(tmp_path / "p")] == [FLOAT16]
    assert warnings_of(film, tmp_path / "q", dtype="fp32", **options) == []
    with pytest.raises(UsageError, match=r"--dtype int8: wdsr has no int8 form.*--dtype fp32"):
        EncodeOptions.of(film, tmp_path / "r", dtype="int8", **options)


def test_wdsr_with_int8_on_the_command_line_is_a_usage_error(film, tmp_path):
    options = ("--method", "jstdo", "--backbone", "wdsr", "--dtype", "int8")
    assert "wdsr" in refused(2, "encode", film, "-o", tmp_path / "p", *FAST, *options)
    assert not (tmp_path / "p").exists()


def test_a_job_cut_while_fine_tuning_goes_on_and_ends_with_the_same_bytes(
    film, tmp_path, monkeypatch
):
    options = {"frames": 3, "steps": 40}
    run(film, tmp_path / "whole", **options)
    overfit = finetune.overfit

    def cut(network, sampler, plan, checkpoint, on_step, companion):
        def stop(step: int, quality_db: float) -> None:
            on_step(step, quality_db)
            if step == plan.begin + 2:
                raise KeyboardInterrupt

        overfit(network, sampler, plan, checkpoint, stop, companion)

    monkeypatch.setattr(finetune, "overfit", cut)
    with pytest.raises(KeyboardInterrupt):
        run(film, tmp_path / "cut", **options)
    assert (tmp_path / "cut" / "work" / "fine-tune-0.ckpt").exists()
    monkeypatch.setattr(finetune, "overfit", overfit)
    run(film, tmp_path / "cut", **options)
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


@pytest.mark.slow
def test_the_compiled_engine_shows_the_pixels_that_were_planned(tmp_path):
    """Film to frames: the engine's hard path is the reference's, on frames and on self-tests."""
    film = write_film(tmp_path / "film.mp4", drifting_pictures(3, 160, 192))
    package = tmp_path / "p"
    done = pocketsr("encode", film, "-o", package, *FAST[:2], *FAST[4:], "--steps", "60")
    assert done.returncode == 0, done.stderr
    assert pocketsr("compile", package).returncode == 0
    assert not (package / "engine").exists()
    assert json.loads(pocketsr("verify", package, "--json").stdout)["self_tested"]
    engine = engine_of(open_package(package))
    assert engine is not None
    (blob,) = blobs_of(package)
    integers, network = (
        IntegerNetwork(blob.arch, blob.tensors),
        engine.load((package / "sr" / "weights-000.bin").read_bytes()),
    )
    halo = network.halo_px(HARD)
    for frame in upscale(open_package(package), engine):
        padded = np.pad(frame.lr, ((halo, halo), (halo, halo), (0, 0)), mode="edge")
        assert np.array_equal(network.upscale(padded, HARD), integers.upscale_all(padded)[HARD])
