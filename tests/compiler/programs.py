"""Exported networks, each once for all tests."""

from functools import lru_cache

from torch.export import ExportedProgram

from player.package.architecture import Architecture
from sr.models import export_paths


@lru_cache
def exported_paths(arch: Architecture) -> dict[str, ExportedProgram]:
    return export_paths(arch)
