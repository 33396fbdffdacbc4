"""Each pass on a small module: before, and what must come out."""

import pytest
import torch
import tvm
from torch import nn
from torch.export import Dim
from tvm import relax
from tvm.script import ir as I
from tvm.script import relax as R

from compiler.errors import CompileError
from compiler.formats import FORMATS
from compiler.graph import INPUT, Convolution, Store, Value
from compiler.importer import import_program
from compiler.lower import lower_to_graph
from compiler.pipeline import plan_program
from compiler.recognise import composite_of, recognise_convolutions, recognise_stores
from compiler.verify import bindings_of, check_recognised
from player.package.anchor import anchor_kernel

HALO = 3


class Small(nn.Module):
    """A 3x3 convolution with ReLU, a 1x1 one, the anchor, x2."""

    def __init__(self, sharpness: float = 1.0) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 12, 1)
        anchor = torch.tensor(anchor_kernel(2), dtype=torch.float32) * sharpness
        self.register_buffer("anchor", anchor)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.last(self.first(x[:, :, 2:-2, 2:-2]).relu())
        y = y + nn.functional.conv2d(x[:, :, 1:-1, 1:-1], self.anchor)
        return nn.functional.pixel_shuffle(y, 2).clamp(0, 255)


def exported(module: nn.Module) -> torch.export.ExportedProgram:
    sizes = {0: Dim("n"), 2: Dim("h", min=12), 3: Dim("w", min=12)}
    return torch.export.export(module, (torch.zeros(2, 3, 16, 17),), dynamic_shapes=(sizes,))


def imported(module: nn.Module) -> tvm.IRModule:
    return import_program(exported(module))


def groups(module: tvm.IRModule) -> list[str | None]:
    """What main calls, in order: a group's name, or an operator's."""
    calls = [b.value for b in bindings_of(module["main"]) if isinstance(b.value, relax.Call)]
    return [
        composite_of(module[c.op]) if isinstance(c.op, tvm.ir.GlobalVar) else c.op.name
        for c in calls
    ]


def test_import_keeps_shapes_readable_and_names_the_weights():
    main = imported(Small())["main"]
    crops = [b.var for b in bindings_of(main) if "strided_slice" in str(b.value)]
    rows, columns = main.params[0].ty.shape.values[2:]
    tvm.ir.assert_structural_equal(crops[1].ty.shape.values[2], rows - 4)
    tvm.ir.assert_structural_equal(crops[1].ty.shape.values[3], columns - 4)
    assert list(main.attrs["tensors"]) == ["first.weight", "first.bias", "last.weight", "last.bias"]


def test_a_slice_that_is_not_a_crop_is_refused():
    class Strided(nn.Module):
        def forward(self, x):
            return x[:, :, ::2]

    with pytest.raises(CompileError, match="not a crop"):
        imported(Strided())


def test_stores_take_the_anchor_the_shuffle_and_the_clip():
    after = recognise_stores()(imported(Small()))
    assert groups(after)[-1] == "pocketsr.store_anchored"
    left = groups(after)[:-1]
    assert "relax.clip" not in left and "relax.permute_dims" not in left
    assert left.count("relax.nn.conv2d") == 2  # the third was the anchor


def test_a_kernel_that_is_not_bicubic_is_no_anchor():
    after = recognise_stores()(imported(Small(sharpness=1.01)))
    assert groups(after)[-1] == "pocketsr.store"
    with pytest.raises(CompileError, match=r"relax\.nn\.conv2d"):
        check_recognised(recognise_convolutions()(after))


def test_convolutions_take_bias_relu_and_sum():
    @I.ir_module
    class Before:
        @R.function
        def main(
            x: R.Tensor((1, 8, 9, 9), "float32"),
            w: R.Tensor((8, 8, 3, 3), "float32"),
            b: R.Tensor((8,), "float32"),
            z: R.Tensor((1, 8, 5, 5), "float32"),
        ):
            with R.dataflow():
                a = R.nn.conv2d(x, w)
                b1 = R.reshape(b, R.shape([1, 8, 1, 1]))
                c = R.nn.relu(R.add(a, b1))
                d = R.nn.conv2d(c, w)
                b2 = R.reshape(b, R.shape([1, 8, 1, 1]))
                e = R.add(R.add(d, b2), z)
                R.output(e)
            return e

    after = recognise_convolutions()(Before)
    assert groups(after) == ["pocketsr.convolution_relu", "pocketsr.convolution_add"]
    check_recognised(after)


def test_lowering_gives_margins_for_shapes():
    module = recognise_convolutions()(recognise_stores()(imported(Small())))
    graph = lower_to_graph(module)
    assert (graph.scale, graph.halo) == (2, HALO)
    assert graph.values == {
        INPUT: Value(INPUT, 3, HALO),
        "first": Value("first", 8, 0),
        "last": Value("last", 12, 0),
    }
    assert graph.convolutions == (
        Convolution("first", INPUT, "first", 3, relu=True),
        Convolution("last", "first", "last", 1),
    )
    assert graph.store == Store("last", anchored=True)


class Odd(Small):
    def __init__(self, step) -> None:
        super().__init__()
        self.step = step

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.last(self.step(self.first(x)))
        return nn.functional.pixel_shuffle(y, 2).clamp(0, 255)


@pytest.mark.parametrize(
    ("step", "operator"),
    [
        (torch.sigmoid, r"relax\.sigmoid \(step 2 of \d+"),
        (lambda y: y * 2, r"relax\.multiply"),
        (nn.AvgPool2d(3, 1), r"relax\.nn\.avg_pool2d"),
    ],
)
def test_an_unknown_operator_is_named_with_its_place(step, operator):
    with pytest.raises(CompileError, match=operator):
        plan_program(exported(Odd(step)), FORMATS["fp32"])


@pytest.mark.parametrize(
    "layer", [nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 7), nn.Conv2d(8, 8, 3, groups=8)]
)
def test_a_convolution_without_a_kernel_is_refused(layer):
    with pytest.raises(CompileError, match="plain 1x1, 3x3 and 5x5"):
        plan_program(exported(Odd(layer)), FORMATS["fp32"])


def test_a_network_without_an_end_is_refused():
    class Endless(Small):
        def forward(self, x):
            return self.first(x).relu()

    with pytest.raises(CompileError, match="pixel shuffle"):
        plan_program(exported(Endless()), FORMATS["fp32"])
