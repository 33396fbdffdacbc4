"""The ResNet for CIFAR of He et al. 2016 (Deep Residual Learning, section 4.2).

    3x3 convolution -> 3 stages of n blocks (w, 2w, 4w channels, side halved) -> mean -> classes
    block: 3x3 to the inner width, BN, ReLU, 3x3 back, BN, + shortcut, ReLU

Depth is 6n + 2. The shortcut has no parameters (option A: every second pixel, zeros for the new
channels), so a block's inner width is free: pruning takes channels there and nowhere else.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

STAGES = 3


class Block(nn.Module):
    """Two 3x3 convolutions around `inner` channels, [N, C, H, W] -> [N, C', H / s, W / s]."""

    def __init__(self, channels_in: int, inner: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, inner, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self._stride, self._new = stride, channels - channels_in

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self._shortcut(x))

    def _shortcut(self, x: Tensor) -> Tensor:
        if self._stride > 1:
            x = x[:, :, :: self._stride, :: self._stride]
        return F.pad(x, (0, 0, 0, 0, 0, self._new)) if self._new else x


class ResNet(nn.Module):
    """Images [N, C, H, W] -> logits [N, classes]; the weights follow from `seed` alone.

    `inner_widths`, one for each block, are what is left after pruning (default: the block's own
    width). `stem_stride` 2 works at half the side, for a quarter of the time: not the paper's.
    Raises ValueError for a depth other than 6n + 2 and for a wrong number of widths.
    """

    def __init__(
        self,
        depth: int = 14,
        width: int = 16,
        classes: int = 10,
        inner_widths: Sequence[int] | None = None,
        channels_in: int = 3,
        stem_stride: int = 1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        widths = block_widths(depth, width)
        inner_widths = widths if inner_widths is None else tuple(inner_widths)
        if len(inner_widths) != len(widths):
            raise ValueError(f"{len(inner_widths)} inner widths for {len(widths)} blocks")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.conv = nn.Conv2d(channels_in, width, 3, stem_stride, 1, bias=False)
            self.bn = nn.BatchNorm2d(width)
            self.blocks = nn.Sequential(*_blocks(width, widths, inner_widths))
            self.head = nn.Linear(widths[-1], classes)
            self.apply(_he_start)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(F.relu(self.bn(self.conv(x))))
        return self.head(x.mean((2, 3)))

    @property
    def prunable(self) -> tuple[str, ...]:
        """The convolutions whose output channels may go, by name: each block's first."""
        return tuple(f"blocks.{i}.conv1" for i in range(len(self.blocks)))

    @property
    def inner_widths(self) -> tuple[int, ...]:
        """The output channels of each of `prunable`."""
        return tuple(b.conv1.out_channels for b in self.blocks if isinstance(b, Block))


def block_widths(depth: int, width: int) -> tuple[int, ...]:
    """The output channels of every block of an unpruned network."""
    if depth < 8 or depth % 6 != 2:
        raise ValueError(f"depth {depth} is not 6n + 2: take 8, 14, 20, ...")
    return tuple(width * 2**stage for stage in range(STAGES) for _ in range((depth - 2) // 6))


def _blocks(width: int, widths: Sequence[int], inner_widths: Sequence[int]) -> list[Block]:
    blocks, before = [], width
    for channels, inner in zip(widths, inner_widths, strict=True):
        blocks.append(Block(before, inner, channels, stride=channels // before))
        before = channels
    return blocks


def _he_start(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def count_macs(network: nn.Module, shape: tuple[int, int, int]) -> int:
    """Multiply-accumulates of one image [C, H, W]: convolutions and matrix products."""
    device = next(network.parameters()).device
    was_training = network.training
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.eval()(torch.zeros(1, *shape, device=device))
    network.train(was_training)
    return counter.get_total_flops() // 2
