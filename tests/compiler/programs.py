"""Exported networks, each once for all tests."""

from functools import lru_cache

from compiler import Network
from player.package.architecture import Architecture
from sr.models import export_paths


@lru_cache
def exported_network(arch: Architecture) -> Network:
    return Network(arch, export_paths(arch))
