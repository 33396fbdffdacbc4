"""The default: one dynamic network, a trunk of plain 3x3 convolutions with cheap exits.

    x -> 3x3 ReLU -> 3x3 ReLU -+-> 3x3 ReLU -> ... -> 3x3 ReLU -+
                               | exit 1x1                       | exit 1x1
                             easy                             hard     each: + anchor, shuffle

Dy-DCA (ECCV 2024, section 3.2) gives each path a network of its own and its easy one costs 55 %
of the hard one. Here the paths share the trunk, so that both are learned together and shipped
once, and an exit is a 1x1 convolution: with exits (2, 6) the easy path costs a quarter.
"""

from torch import Tensor, nn

from player.package.architecture import Architecture
from sr.models.network import Network, crop, init_silent, init_trunk


class Chain(Network):
    """widths: channels of the trunk's convolutions; exits: depths, shallow to deep."""

    has_anchor = True
    input_convolutions = ("trunk.0",)

    def __init__(self, arch: Architecture) -> None:
        super().__init__(arch)
        inputs = (arch.planes, *arch.widths)
        # `inputs` is one longer: its last width is what the deepest exit reads.
        pairs = zip(inputs, arch.widths, strict=False)
        self.trunk = nn.ModuleList(nn.Conv2d(i, o, 3) for i, o in pairs)
        out = 3 * arch.hr_units**2
        self.exits = nn.ModuleList(nn.Conv2d(arch.widths[d - 1], out, 1) for d in arch.exits)
        self.output_convolutions = tuple(f"exits.{i}" for i in range(len(arch.exits)))
        init_trunk(m for m in self.trunk if isinstance(m, nn.Conv2d))
        for exit_ in self.exits:
            assert isinstance(exit_, nn.Conv2d)
            init_silent(exit_)

    def first(self, x: Tensor, path: int) -> Tensor:
        """The places that the trunk reads for x with the halo of `path`."""
        # Cropped only where the anchor reads further than so few convolutions.
        margin = self.halo_px(path) // self.arch.units - self.arch.depth(path)
        return crop(self.places(x), margin)

    def residual(self, x: Tensor, path: int) -> Tensor:
        depth = self.arch.depth(path)
        features = self.first(x, path)
        for convolution in self.trunk[:depth]:
            features = convolution(features).relu()
        return self.exits[self.arch.paths.index(path)](features)

    def residuals(self, x: Tensor) -> dict[int, Tensor]:
        depth = self.arch.exits[-1]
        features = self.first(x, self.arch.paths[-1])
        outputs = {}
        for i, convolution in enumerate(self.trunk, start=1):
            features = convolution(features).relu()
            if i in self.arch.exits:
                at = self.arch.exits.index(i)
                # What an early exit does not need: the margin that the convolutions behind it still
                # read.
                outputs[self.arch.paths[at]] = self.exits[at](crop(features, depth - i))
        return outputs
