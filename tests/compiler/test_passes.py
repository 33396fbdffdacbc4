"""Each pass on a small module: before, and what must come out."""

from types import SimpleNamespace

import pytest
import torch
import tvm
from torch import nn
from torch.export import Dim
from tvm import relax, tirx
from tvm.script import ir as I
from tvm.script import relax as R

from compiler.compile_error import CompileError
from compiler.importing.program import _SliceConverter, import_program
from compiler.pipeline import import_graph
from compiler.plan.graph import INPUT, Anchor, Convolution, Store, Value
from compiler.plan.lower import lower_to_graph
from compiler.plan.recognise import (
    CONVOLUTION,
    CONVOLUTION_ADD,
    composite_of,
    recognise_convolutions,
    recognise_stores,
)
from compiler.plan.verify import bindings_of, check_recognised
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


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        (lambda x: x[:, :, ::2], "slice .step 1 of .*before the first layer. is not a crop"),
        (lambda x: x[:, 1:].repeat(1, 2, 1, 1)[:, 1:], "is not a crop by fixed numbers of pixels"),
        (lambda x: x[:, :, 1:-3, 2:-2], "takes 1 pixels from one end and 3 from the other"),
    ],
)
def test_a_slice_that_is_not_a_crop_is_refused(cut, message):
    class Cut(Small):
        def forward(self, x):
            y = self.last(self.first(cut(x)))
            return nn.functional.pixel_shuffle(y, 2).clamp(0, 255)

    with pytest.raises(CompileError, match=message):
        import_graph(exported(Cut()))


def test_only_proved_ends_of_a_slice_lose_their_clamps(monkeypatch):
    class Cut(nn.Module):
        def forward(self, x):
            return x[:, :, 4:-4]

    program = exported(Cut())
    (proved,) = bindings_of(import_program(program)["main"])[:1]
    assert proved.value.attrs.assume_inbound
    # The slices' own proofs are told no bounds; Relax still has those of the program.
    no_bounds = _SliceConverter(SimpleNamespace(range_constraints={}))
    monkeypatch.setattr(f"{import_program.__module__}._SliceConverter", lambda _: no_bounds)
    module = import_program(program)
    (clamped,) = bindings_of(module["main"])[:1]
    assert not clamped.value.attrs.assume_inbound
    check_recognised(module)  # the bounds that Relax has are proof enough
    unbounded = tvm.IRModule({"main": module["main"].without_attr("tir_var_lower_bound")})
    with pytest.raises(CompileError, match="is not a crop"):
        check_recognised(unbounded)


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
    assert (graph.units, graph.side, graph.halo) == (1, 2, HALO)
    assert graph.values == {
        INPUT: Value(INPUT, 3, HALO),
        "first": Value("first", 8, 0),
        "last": Value("last", 12, 0),
    }
    assert graph.convolutions == (
        Convolution("first", INPUT, "first", 3, relu=True),
        Convolution("last", "first", "last", 1),
    )
    assert graph.store == Store("last", Anchor.NEAR)


class Odd(Small):
    def __init__(self, step) -> None:
        super().__init__()
        self.step = step

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.last(self.step(self.first(x)))
        return nn.functional.pixel_shuffle(y, 2).clamp(0, 255)


def sum_before(shape: tuple[object, ...]) -> tvm.IRModule:
    """A convolution's result [1, 8, 5, 5] and a second operand of a sum."""
    builder = relax.BlockBuilder()
    sizes = [(1, 8, 7, 7), (8, 8, 3, 3), (8,), shape]
    params = [
        relax.Var(n, relax.TensorType(s, "float32")) for n, s in zip("xwbz", sizes, strict=True)
    ]
    x, w, b, z = params
    with builder.function("main", params):
        with builder.dataflow():
            convolved = builder.emit(relax.op.nn.conv2d(x, w))
            bias = builder.emit(relax.op.reshape(b, (1, 8, 1, 1)))
            biased = builder.emit(relax.op.add(convolved, bias))
            total = builder.emit_output(relax.op.add(biased, z))
        builder.emit_func_output(total)
    return builder.get()


@pytest.mark.parametrize("shape", [(1, 8, 1, 5), (1, 1, 5, 5), (1, 8, tirx.Var("p", "int64"), 5)])
def test_a_sum_that_may_broadcast_is_not_fused(shape):
    assert groups(recognise_convolutions()(sum_before((1, 8, 5, 5)))) == [CONVOLUTION_ADD]
    after = recognise_convolutions()(sum_before(shape))
    assert groups(after) == [CONVOLUTION, "relax.add"]
    with pytest.raises(
        CompileError, match=r"relax\.add .*sums with a convolution of the same shape"
    ):
        check_recognised(after)


def test_a_reshape_that_is_no_pixel_shuffle_is_no_store():
    class Wrong(Small):
        def forward(self, x):
            y = self.last(self.first(x))
            n, _, h, w = y.shape
            return (
                y.reshape(n, 3, 4, 1, h, w)
                .permute(0, 1, 4, 2, 5, 3)
                .reshape(n, 3, h * 4, w)
                .clamp(0, 255)
            )

    with pytest.raises(CompileError, match=r"relax\.reshape .*behind layer last"):
        import_graph(exported(Wrong()))


def test_an_operator_that_the_importer_does_not_know_is_named_with_its_module():
    class Bessel(nn.Module):
        def forward(self, x):
            return torch.special.bessel_j0(x)

    message = r"operator special_bessel_j0\.default in module step \(node special_bessel_j0\)"
    with pytest.raises(CompileError, match=message):
        import_graph(exported(Odd(Bessel())))


def test_a_value_that_is_not_the_patch_with_a_margin_is_named():
    class Narrow(Small):
        def forward(self, x):
            y = self.last(self.first(x)[:, :, :, 1:-1])
            return nn.functional.pixel_shuffle(y, 2).clamp(0, 255)

    message = r"input is \[s\d+, 3, s\d+, s\d+\], which is not .* equal margin on every side"
    with pytest.raises(CompileError, match=message):
        import_graph(exported(Narrow()))


@pytest.mark.parametrize(
    ("step", "operator"),
    [
        (torch.sigmoid, r"relax\.sigmoid \(step 2 of \d+, behind layer first\)"),
        (lambda y: y * 2, r"relax\.multiply"),
        (nn.AvgPool2d(3, 1), r"relax\.nn\.avg_pool2d"),
    ],
)
def test_an_unknown_operator_is_named_with_its_place(step, operator):
    with pytest.raises(CompileError, match=operator):
        import_graph(exported(Odd(step)))


@pytest.mark.parametrize(
    "layer", [nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 7), nn.Conv2d(8, 8, 3, groups=8)]
)
def test_a_convolution_without_a_kernel_is_refused(layer):
    with pytest.raises(CompileError, match="plain 1x1, 3x3 and 5x5"):
        import_graph(exported(Odd(layer)))


def test_a_network_without_an_end_is_refused():
    class Endless(Small):
        def forward(self, x):
            return self.first(x).relu()

    with pytest.raises(CompileError, match="pixel shuffle"):
        import_graph(exported(Endless()))
