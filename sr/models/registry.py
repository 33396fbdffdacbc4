"""The registry of networks: architecture -> module, presets by name, export for the compiler."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from player.package.architecture import Architecture, Tensors
from player.package.paths import PATH_NAMES
from player.package.scale import Scale
from sr.models.chain import Chain
from sr.models.edsr import Edsr
from sr.models.espcn import Espcn
from sr.models.network import PIXEL_MAX, Network
from sr.models.srcnn import Srcnn
from sr.models.vdsr import Vdsr
from sr.models.wdsr import Wdsr

FAMILIES: dict[str, type[Network]] = {"chain": Chain, "espcn": Espcn, "wdsr": Wdsr}

MAX_SIDE_PX = 8192  # of an LR patch with its halo; what the engine accepts as well

# name -> (family, widths, exits of the dynamic form); a static network keeps the last exit
BACKBONES: dict[str, tuple[str, tuple[int, ...], tuple[int, ...]]] = {
    "chain": ("chain", (32,) * 6, (2, 6)),
    "espcn": ("espcn", (64, 64, 32), (3,)),
    "wdsr": ("wdsr", (16, 64, 4), (4,)),
    "wdsr-16": ("wdsr", (32, 128, 16), (16,)),  # as STDO has it
}
# Those of the papers that compute at the film's size, which no engine does and no phone could: they
# are trained for comparison (benchmarks/shrinking/backbones.py), and no package holds one.
PUBLISHED: dict[str, Callable[[int], nn.Module]] = {"srcnn": Srcnn, "vdsr": Vdsr, "edsr": Edsr}


def architecture(
    backbone: str,
    scale: Scale,
    dynamic: bool,
    units: int = 1,
    shape: tuple[tuple[int, ...], tuple[int, ...]] | None = None,
) -> Architecture:
    """The architecture of a backbone's name, as one network with paths or as a static one.

    `shape`: widths and exits in place of the backbone's own.
    """
    family, widths, exits = BACKBONES[backbone]
    widths, exits = shape or (widths, exits)
    return Architecture(family, scale, widths, exits if dynamic else exits[-1:], units)


def build_network(arch: Architecture, seed: int = 0) -> Network:
    """A freshly initialised network; the same seed gives the same weights."""
    # Forked, so that the caller's own random numbers go on as if nothing had been drawn.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return FAMILIES[arch.name](arch)


def deployed_network(arch: Architecture, tensors: Tensors) -> Network:
    """The network in pixel units, with the tensors of a weights blob."""
    network = build_network(arch).eval()
    network.load_deployed({k: torch.tensor(v) for k, v in tensors.items()}, pixel_units=True)
    return network


class _PathProgram(nn.Module):
    """One path as the compiler takes it: clamped to pixel values."""

    def __init__(self, network: Network, path: int) -> None:
        super().__init__()
        self.network, self.path = network, path

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x, self.path).clamp(0.0, PIXEL_MAX)


def export_paths(arch: Architecture, tensors: Tensors | None = None) -> dict[str, ExportedProgram]:
    """Each network path as an exported program of [n, 3 u^2, h, w], units as one place each, with
    symbolic n, h and w.

    Parameters are named as in `tensor_layout`, behind the prefix `network.`.
    """
    network = deployed_network(arch, tensors) if tensors else build_network(arch).eval()
    # Of a weight in parts the program would name the parts, and the compiler finds weights by name.
    for module in network.modules():
        if nn.utils.parametrize.is_parametrized(module):
            nn.utils.parametrize.remove_parametrizations(module, "weight")
    return {PATH_NAMES[path]: _export(network, path) for path in arch.paths}


def _export(network: Network, path: int) -> ExportedProgram:
    # Exporting at 2 and more keeps torch from specialising on 1; the engine serves 1 as well.
    smallest = 2 * network.halo_px(path) // network.arch.units + 2
    example = torch.zeros(2, network.arch.planes, smallest + 8, smallest + 9)
    sizes = {i: Dim(name, min=smallest, max=MAX_SIDE_PX) for i, name in ((2, "h"), (3, "w"))}
    shapes = {"x": {0: Dim("n"), **sizes}}
    program = _PathProgram(network, path).eval()
    with torch.no_grad():
        return torch.export.export(program, (example,), dynamic_shapes=shapes)
