"""The C file that ties an engine together: its networks, its kernels, its constants."""

import json
from collections.abc import Mapping, Sequence

from compiler.emit.network import PlannedNetwork
from compiler.kernels import KERNELS
from compiler.kernels.versions import cpu_features
from compiler.targets import Target
from player.package.architecture import BLOCK, GROUP

CONSTANTS = "generated.h"


def emit_engine(
    networks: Sequence[PlannedNetwork], target: Target, dtype: str, info: Mapping[str, object]
) -> str:
    """Definitions of everything that runtime/internal.h and kernels.h declare as generated."""
    versions, kernels = target.versions[dtype], KERNELS[dtype]
    archs = ", ".join(f"&{n.symbol}" for n in networks)
    tables = [line for version in versions for line in kernels.table(version)]
    text = json.dumps(json.dumps(info, sort_keys=True))
    lines = [
        '#include "kernels.h"\n',
        *(f"extern const psr_arch {n.symbol};" for n in networks),
        f"\nconst psr_arch *const psr_archs[] = {{{archs}}};",
        f"const int32_t psr_n_archs = {len(networks)};",
        f"const int32_t psr_is_int8 = {int(dtype == 'int8')};",
        f"const int32_t psr_cache_bytes = {target.cache_bytes};",
        f"const char psr_info[] = {text};\n",
        *tables,
        "const psr_version *const psr_versions[] = {",
        *(f"    &psr_version_{version.name}," for version in versions),
        "};",
        f"const int32_t psr_n_versions = {len(versions)};",
        "const char *psr_version_name(const psr_version *version) { return version->name; }",
        "uint32_t psr_version_needs(const psr_version *version) { return version->needs; }\n",
        *kernels.constants(),
        "",
    ]
    return "\n".join(lines)


def emit_constants() -> str:
    """The header by which C has the numbers that Python owns; internal.h includes it."""
    bits = [f"    PSR_CPU_{name} = {1 << i}," for i, name in enumerate(cpu_features())]
    lines = [
        "/* Generated: numbers that the C shares with the Python that owns them. */",
        "#ifndef PSR_GENERATED_H",
        "#define PSR_GENERATED_H",
        "",
        f"enum {{ PSR_BLOCK = {BLOCK} }}; /* channels that lie together in memory */",
        f"enum {{ PSR_GROUP = {GROUP} }}; /* input channels of one int8 dot product */",
        "",
        "/* What a kernel version needs of the processor. */",
        "enum {",
        *bits,
        "};",
        "",
        "#endif",
        "",
    ]
    return "\n".join(lines)
