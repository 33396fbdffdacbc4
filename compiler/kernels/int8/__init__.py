"""int8 kernels of a version: their TIR, and the C table of runtime/int8/kernels.h."""

from tvm.tirx import PrimFunc

from compiler.kernels.int8.convolution import detail_kernel, hidden_kernel
from compiler.kernels.int8.dot import X86_DOT_PRODUCTS
from compiler.kernels.int8.dot_arm import ARM_DOT_PRODUCTS
from compiler.kernels.int8.rows import anchor_kernel, identity_kernel, load_kernel, store_kernel
from compiler.kernels.int8.scalar import SCALAR_DOT_PRODUCTS
from compiler.kernels.tiles import (
    ANCHOR_SLOTS,
    STORES,
    UNITS,
    anchor_taps,
    c_numbers,
    conv_table,
    end_table,
    tile_pixels,
    tiles,
    version_table,
)
from compiler.kernels.versions import Version
from player.package.anchor import fixed_taps

DOT_PRODUCTS = X86_DOT_PRODUCTS | ARM_DOT_PRODUCTS | SCALAR_DOT_PRODUCTS


def functions(version: Version) -> dict[str, PrimFunc]:
    """C name -> kernel."""
    dot = DOT_PRODUCTS[version.name]
    flat = [tile for groups in tiles(version) for shapes in groups for tile in shapes]
    prefix = f"psr_{version.name}"
    found = {f"{prefix}_load_u{units}": load_kernel(dot, units) for units in UNITS}
    found |= {t.name(version.name, "hidden"): hidden_kernel(t, dot) for t in flat}
    found |= {t.name(version.name, "detail"): detail_kernel(t, dot) for t in flat}
    found |= {f"{prefix}_anchor_{s}": anchor_kernel(dot, r) for s, r in ANCHOR_SLOTS.items()}
    found |= {f"{prefix}_{name}": store_kernel(dot, *o) for name, o in STORES.items()}
    return found | {f"{prefix}_store_identity": identity_kernel(dot)}


def table(version: Version) -> list[str]:
    """C text: declarations of the kernels, and the version that holds them."""
    prefix, dot = f"psr_{version.name}", DOT_PRODUCTS[version.name]
    dots = (dot.of_pixels, dot)
    names = {
        kind: [
            [[t.name(version.name, kind) for t in g] for g in groups] for groups in tiles(version)
        ]
        for kind in ("hidden", "detail")
    }
    flat = [n for table in names.values() for groups in table for shapes in groups for n in shapes]
    declared, entries = end_table(prefix)
    return [
        *declared,
        *(f"extern psr_conv_kernel {name};" for name in flat),
        *version_table(
            version,
            [
                f"    .lanes = {dot.lanes},",
                f"    .packing = {{{', '.join(d.packing for d in dots)}}},",
                f"    .step_groups = {{{c_numbers(d.groups for d in dots)}}},",
                f"    .is_signed = {int(dot.signed)},",
                f"    .tile_pixels = {{{tile_pixels(version)}}},",
                f"    .store_values = {2 * dot.lanes},",
                *entries,
                *conv_table("hidden", names["hidden"]),
                *conv_table("detail", names["detail"]),
            ],
        ),
    ]


def constants() -> list[str]:
    """C text: the taps in fixed point."""
    return anchor_taps({slot: fixed_taps(r) for slot, r in ANCHOR_SLOTS.items()}, "int16_t")
