"""int8 kernels of a version: their TIR, and the C table of runtime/int8/kernels.h."""

from tvm.tirx import PrimFunc

from compiler.kernels.int8.convolution import detail_kernel, hidden_kernel
from compiler.kernels.int8.dot import X86_DOT_PRODUCTS
from compiler.kernels.int8.dot_arm import ARM_DOT_PRODUCTS
from compiler.kernels.int8.rows import anchor_kernel, load_kernel, store_kernel
from compiler.kernels.int8.scalar import SCALAR_DOT_PRODUCTS
from compiler.kernels.tiles import SCALES, c_numbers, conv_table, tiles, version_table
from compiler.kernels.versions import Version
from player.package.anchor import TAPS, fixed_taps
from player.package.architecture import BLOCK

DOT_PRODUCTS = X86_DOT_PRODUCTS | ARM_DOT_PRODUCTS | SCALAR_DOT_PRODUCTS
_STORES = {"store_sum": (True, True), "store_anchor": (True, False), "store_detail": (False, True)}


def functions(version: Version) -> dict[str, PrimFunc]:
    """C name -> kernel."""
    dot = DOT_PRODUCTS[version.name]
    flat = [tile for groups in tiles(version) for shapes in groups for tile in shapes]
    prefix = f"psr_{version.name}"
    found = {f"{prefix}_load": load_kernel(dot)}
    found |= {t.name(version.name, "hidden"): hidden_kernel(t, dot) for t in flat}
    found |= {t.name(version.name, "detail"): detail_kernel(t, dot) for t in flat}
    found |= {f"{prefix}_anchor_x{scale}": anchor_kernel(dot, scale) for scale in SCALES}
    return found | {f"{prefix}_{name}": store_kernel(dot, *o) for name, o in _STORES.items()}


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
    return [
        f"extern psr_load_kernel {prefix}_load;",
        *(f"extern psr_conv_kernel {name};" for name in flat),
        *(f"extern psr_anchor_kernel {prefix}_anchor_x{scale};" for scale in SCALES),
        *(f"extern psr_store_kernel {prefix}_{name};" for name in _STORES),
        *version_table(
            version,
            [
                f"    .lanes = {dot.lanes},",
                f"    .packing = {{{', '.join(d.packing for d in dots)}}},",
                f"    .step_groups = {{{c_numbers(d.groups for d in dots)}}},",
                f"    .is_signed = {int(dot.signed)},",
                f"    .tile_pixels = {{{c_numbers(version.tile.pixels)}}},",
                f"    .store_values = {2 * dot.lanes},",
                f"    .load = {prefix}_load,",
                *conv_table("hidden", names["hidden"]),
                *conv_table("detail", names["detail"]),
                "    .anchor = {",
                *(f"        [{scale}] = {prefix}_anchor_x{scale}," for scale in SCALES),
                "    },",
                *(f"    .{name} = {prefix}_{name}," for name in _STORES),
            ],
        ),
    ]


def constants() -> list[str]:
    """C text: the taps in fixed point, across in the order of the kernel's lanes."""
    across, down = [], []
    for scale in SCALES:
        horizontal, vertical = fixed_taps(scale)
        lanes = range(BLOCK)
        numbers = [int(horizontal[min(j // 3, scale - 1), k]) for k in range(TAPS) for j in lanes]
        across.append(f"    [{scale}] = {{{c_numbers(numbers)}}},")
        down += [f"    [{scale}][{d}] = {{{c_numbers(t)}}}," for d, t in enumerate(vertical)]
    return [
        f"const int16_t psr_taps_across[5][{TAPS * BLOCK}] = {{",
        *across,
        "};",
        f"const int16_t psr_taps_down[5][4][{TAPS}] = {{",
        *down,
        "};",
    ]
