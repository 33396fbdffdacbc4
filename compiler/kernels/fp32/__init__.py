"""fp32 kernels of a version: their TIR, and the C table of runtime/fp32/kernels.h."""

from tvm.tirx import PrimFunc

from compiler.kernels.fp32.convolution import convolution_kernel
from compiler.kernels.fp32.rows import anchor_kernel, identity_kernel, load_kernel, store_kernel
from compiler.kernels.tiles import (
    ANCHOR_SLOTS,
    STORES,
    UNITS,
    anchor_taps,
    conv_table,
    end_table,
    tile_pixels,
    tiles,
    version_table,
)
from compiler.kernels.versions import Version
from player.package.anchor import phase_taps


def functions(version: Version) -> dict[str, PrimFunc]:
    """C name -> kernel."""
    prefix, lanes = f"psr_{version.name}", version.lanes
    flat = [tile for groups in tiles(version) for shapes in groups for tile in shapes]
    found = {f"{prefix}_load_u{units}": load_kernel(units) for units in UNITS}
    found |= {t.name(version.name, "conv"): convolution_kernel(t, lanes) for t in flat}
    found |= {f"{prefix}_anchor_{s}": anchor_kernel(lanes, r) for s, r in ANCHOR_SLOTS.items()}
    found |= {f"{prefix}_{name}": store_kernel(lanes, *o) for name, o in STORES.items()}
    return found | {f"{prefix}_store_identity": identity_kernel(lanes)}


def table(version: Version) -> list[str]:
    """C text: declarations of the kernels, and the version that holds them."""
    prefix = f"psr_{version.name}"
    names = [
        [[t.name(version.name, "conv") for t in g] for g in groups] for groups in tiles(version)
    ]
    flat = [name for groups in names for shapes in groups for name in shapes]
    declared, entries = end_table(prefix)
    return [
        *declared,
        *(f"extern psr_conv_kernel {name};" for name in flat),
        *version_table(
            version,
            [
                f"    .tile_pixels = {{{tile_pixels(version)}}},",
                f"    .store_values = {version.lanes},",
                *entries,
                *conv_table("conv", names),
            ],
        ),
    ]


def constants() -> list[str]:
    """C text: the taps."""
    taps = {slot: phase_taps(r).astype("float32") for slot, r in ANCHOR_SLOTS.items()}
    return anchor_taps({slot: (t, t) for slot, t in taps.items()}, "float")
