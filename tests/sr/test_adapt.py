"""What a network that ships changes for a film: trained as integers, resumable, packed, encoded."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from player.package import shipped
from player.package.adapted import is_adapted, whole_blob
from player.package.index import read_index
from player.package.integers import SUM_LIMIT, check_layer, largest_sums
from player.package.paths import HARD
from player.package.verify import verify_package
from player.package.weights import WeightsBlob, unpack_weights
from sr.encode.options import EncodeOptions
from sr.encode.report.page import _network
from sr.packing import pack_changes, pack_integers
from sr.quant.adapt import (
    ADAPTING_SEED,
    WEIGHT_STEPS,
    AdaptedConvolution,
    adapt,
    adaptable_network,
    adapted_convolutions,
    adapting_plan,
)
from sr.quant.finetune import quantise_trained
from sr.quant.integer_network import IntegerNetwork
from sr.quant.reference import layer_of
from sr.usage_error import UsageError
from tests.player.adapted_blobs import NAME, changed, put_shipped
from tests.player.test_weights_sparse import same
from tests.sr.small_trained import ARCH, copy_of
from tests.sr.test_encode import contents, run


class Stopped(Exception):
    """A training that is killed."""


@pytest.fixture(scope="module")
def base(trained, sampler) -> WeightsBlob:
    """A network that was trained on the sampler's crops, and then harmed."""
    integers = quantise_trained(copy_of(trained), sampler)
    return unpack_weights(pack_integers(ARCH, changed(integers, ARCH, 0.3)))


@pytest.fixture
def shipped_base(base, tmp_path, monkeypatch):
    """The same, among the networks that lie with the player."""
    blob = pack_integers(ARCH, base.tensors)
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "shipped")
    put_shipped(tmp_path / "shipped", blob)
    yield blob
    shipped._by_hash.cache_clear()


def error(tensors, sampler) -> float:
    """Mean squared error on crops that were not trained on."""
    network, own = IntegerNetwork(ARCH, tensors), replace(sampler, seed=99)
    found = []
    for batch in (own.draw(step) for step in range(8)):
        for lr, hr in zip(batch.lr, batch.hr, strict=True):
            pixels = (lr * 255).round().byte().permute(1, 2, 0).numpy()
            shown = network.upscale_all(np.ascontiguousarray(pixels))[HARD]
            found.append(np.square(shown - 255.0 * hr.permute(1, 2, 0).numpy()).mean())
    return float(np.mean(found))


def test_without_any_change_it_is_the_network_that_ships(base, sampler):
    network = adaptable_network(base)
    assert same(integers(network), base.tensors)
    batch = sampler.draw(0)
    with torch.no_grad():
        ours = (network(batch.lr[:1], HARD) * 255)[0].permute(1, 2, 0).numpy()
    lr = np.ascontiguousarray((batch.lr[0] * 255).round().byte().permute(1, 2, 0).numpy())
    theirs = IntegerNetwork(ARCH, base.tensors).upscale_all(lr)[HARD]
    difference = np.abs(np.clip(ours, 0, 255) - theirs)
    assert difference.mean() < 0.3 and np.quantile(difference, 0.999) < 1.0


def integers(network):
    layers = {name: layer.integers() for name, layer in adapted_convolutions(network)}
    return {f"{n}.{kind}": v for n, layer in layers.items() for kind, v in layer.items()}


def test_training_lowers_the_error_and_ends_in_integers_that_can_be_sent(
    base, sampler, shipped_base
):
    made = adapt(base, sampler, adapting_plan(120))
    assert error(made, sampler) < 0.9 * error(base.tensors, sampler)
    blob = pack_changes(shipped_base, made)
    assert same(unpack_weights(whole_blob(blob)).tensors, made)


def test_bits_with_a_price_are_fewer(base, sampler, shipped_base):
    sizes = [
        len(pack_changes(shipped_base, adapt(base, sampler, adapting_plan(60), price)))
        for price in (0.0, 1e-6, 1.0)
    ]
    assert sizes[0] > sizes[1] > sizes[2] and sizes[2] < 40


def test_a_training_that_was_killed_ends_with_the_same_bits(base, sampler, tmp_path):
    plan, file = adapting_plan(12), tmp_path / "ckpt"

    def stop(done: int, db: float) -> None:
        if done == 5:
            raise Stopped

    with pytest.raises(Stopped):
        adapt(base, sampler, plan, 1e-7, checkpoint=file, on_step=stop)
    steps: list[int] = []
    again = adapt(
        base, sampler, plan, 1e-7, checkpoint=file, on_step=lambda done, db: steps.append(done)
    )
    assert steps[0] == 6
    assert same(again, adapt(base, sampler, plan, 1e-7))
    assert ADAPTING_SEED not in (500, 501, 502, 504)  # crops of its own


def test_it_goes_on_from_what_was_changed_before(base):
    before = changed(base.tensors, ARCH, 0.5, seed=3, steps=WEIGHT_STEPS)
    assert same(integers(adaptable_network(base, before)), before)
    assert not same(before, base.tensors)


def test_what_would_break_a_bound_is_not_changed(base):
    """Wherever the optimiser goes: weights end at 127, places at the grid's ends, sums below."""
    for far in (1e6, -1e6):
        network = adaptable_network(base)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.fill_(far)
        made = integers(network)
        for name, layer in adapted_convolutions(network):
            assert isinstance(layer, AdaptedConvolution)
            check_layer(name, layer_of(made, name))
            weight, bias, _ = layer_of(made, name)
            assert (largest_sums(weight, bias) < SUM_LIMIT).all()


def test_an_encode_sends_what_changed(film, tmp_path, shipped_base):
    asked = {"shipped": NAME, "adapt": True, "steps": 30, "rate_weight": 0.0, "max_loss_db": 0.0}
    report = run(film, tmp_path / "p", **asked)
    (entry,) = read_index(tmp_path / "p").index.weights
    blob = (tmp_path / "p" / entry.file).read_bytes()
    assert is_adapted(blob) and not entry.shipped and entry.arch == ARCH
    assert (report["shipped"], report["adapted"], report["steps"]) == (NAME, True, 30)
    assert report["weights_bytes"] == [len(blob)] and len(blob) < len(shipped_base) // 2
    assert verify_package(tmp_path / "p").ok
    run(film, tmp_path / "q", **asked)
    assert contents(tmp_path / "p") == contents(tmp_path / "q")
    again = run(film, tmp_path / "r", **asked, warm_from=tmp_path / "p" / entry.file)
    assert again["adapted"] and contents(tmp_path / "r") != contents(tmp_path / "p")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"adapt": True}, "--adapt: say which network, with --shipped"),
        ({"shipped": NAME, "adapt": True, "stages": "chase"}, "with --adapt nothing else"),
        ({"shipped": NAME, "adapt": True, "dtype": "int8"}, "--dtype: with --adapt nothing else"),
        ({"shipped": NAME, "steps": 3}, "--steps: nothing is trained with --shipped"),
    ],
)
def test_contradictions_are_said(shipped_base, options, said):
    with pytest.raises(UsageError, match=said):
        EncodeOptions.of(Path("film.mp4"), Path("p"), scale=2, **options)


def test_a_job_is_another_one_only_where_it_was_asked():
    told = EncodeOptions.of(Path("f.mp4"), Path("p"), scale=4, shipped="x4-coarse").to_json()
    assert "adapt" not in told
    asked = EncodeOptions.of(Path("f.mp4"), Path("p"), scale=4, shipped="x4-coarse", adapt=True)
    assert asked.to_json()["adapt"] is True


def test_the_report_tells_it_from_the_network_as_it_ships():
    row = {"widths": [48] * 8, "shipped": "x4-coarse", "adapted": True}
    assert _network(row) == "x4-coarse, adapted"
    assert _network(row | {"adapted": False}) == _network({**row, "adapted": None}) == "x4-coarse"
