"""The C file that ties an engine together: its kernels and its constants."""

import json
from collections.abc import Mapping

from compiler.kernels import KERNELS
from compiler.kernels.versions import cpu_features
from compiler.plan.formats import SLACK
from compiler.targets import Target
from player.package import limits
from player.package.architecture import BLOCK, GROUP

CONSTANTS = "generated.h"
_LIMITS = (
    "MAX_BLOB_BYTES",
    "MAX_CODED_WEIGHTS",
    "MAX_WIDTH",
    "MAX_DEPTH",
    "MAX_EXITS",
    "MAX_BLOCKS",
    "MAX_UNITS",
)
_MOST_STORED = 32  # values of the widest vector of a store kernel


def emit_engine(target: Target, dtype: str, info: Mapping[str, object]) -> str:
    """Definitions of everything that runtime/internal.h and kernels.h declare as generated."""
    versions, kernels = target.versions[dtype], KERNELS[dtype]
    tables = [line for version in versions for line in kernels.table(version)]
    text = json.dumps(json.dumps(info, sort_keys=True))
    lines = [
        '#include "kernels.h"\n',
        f"const int32_t psr_is_int8 = {int(dtype == 'int8')};",
        f"const int32_t psr_cache_bytes = {target.cache_bytes};",
        f"const char psr_build_text[] = {text};\n",
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
        f"enum {{ PSR_SLACK = {SLACK} }}; /* columns behind a row */",
        f"enum {{ PSR_MAX_STORE = {_MOST_STORED} }}; /* values of a vector that is stored */",
        "",
        "/* The family's limits: player/package/limits.py. */",
        "enum {",
        *(f"    PSR_{name} = {getattr(limits, name)}," for name in _LIMITS),
        "};",
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
