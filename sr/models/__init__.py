"""Networks: one file a family, and a registry."""

from sr.models.network import Network
from sr.models.registry import (
    BACKBONES,
    FAMILIES,
    PUBLISHED,
    architecture,
    build_network,
    deployed_network,
    export_paths,
)

__all__ = [
    "BACKBONES",
    "FAMILIES",
    "PUBLISHED",
    "Network",
    "architecture",
    "build_network",
    "deployed_network",
    "export_paths",
]
