"""What a loader reads of a shared library (ELF, 64 bits, little endian; System V ABI, gABI 4.1)."""

import struct
from dataclasses import dataclass

PT_LOAD, PT_DYNAMIC, PT_TLS, PT_GNU_STACK, PT_GNU_RELRO = 1, 2, 7, 0x6474E551, 0x6474E552
WRITABLE, EXECUTABLE = 2, 1
_NEEDED, _STRTAB, _SYMTAB, _RELA, _RELASZ, _SONAME, _TEXTREL = 1, 5, 6, 7, 8, 14, 22
_JMPREL, _PLTRELSZ, _HASH, _VERNEED = 23, 2, 4, 0x6FFFFFFE


@dataclass(frozen=True)
class Segment:
    kind: int
    flags: int
    offset: int
    address: int
    file_bytes: int
    memory_bytes: int
    alignment: int


@dataclass(frozen=True)
class Library:
    """`relocations`: the types that its loader has to know."""

    machine: int
    segments: list[Segment]
    soname: str
    needed: list[str]
    undefined: set[str]
    exported: set[str]
    relocations: set[int]
    has_versions: bool
    has_text_relocations: bool


def read_library(elf: bytes) -> Library:
    assert elf[:6] == b"\x7fELF\x02\x01"
    machine = int.from_bytes(elf[18:20], "little")
    segments = list(_segments(elf))
    dynamic = next(s for s in segments if s.kind == PT_DYNAMIC)
    tags = list(struct.iter_unpack("<qQ", elf[dynamic.offset :][: dynamic.file_bytes]))
    tags = tags[: tags.index((0, 0))]
    one = dict(tags)

    def at(address: int) -> int:
        loads = [s for s in segments if s.kind == PT_LOAD]
        return next(
            address - s.address + s.offset
            for s in loads
            if s.address <= address < s.address + s.file_bytes
        )

    def text(offset: int) -> str:
        start = at(one[_STRTAB]) + offset
        return elf[start : elf.index(b"\0", start)].decode()

    (symbols,) = struct.unpack_from("<I", elf, at(one[_HASH]) + 4)
    undefined, exported = set(), set()
    for i in range(1, symbols):
        name, _, _, section = struct.unpack_from("<IBBH", elf, at(one[_SYMTAB]) + 24 * i)
        (exported if section else undefined).add(text(name))
    tables = ((one.get(_RELA), one.get(_RELASZ)), (one.get(_JMPREL), one.get(_PLTRELSZ)))
    relocations = {
        info & 0xFFFFFFFF
        for start, size in tables
        if start
        for _, info, _ in struct.iter_unpack("<QQq", elf[at(start) :][:size])
    }
    needed = [text(value) for tag, value in tags if tag == _NEEDED]
    versions, text_relocations = _VERNEED in one, _TEXTREL in one
    soname = text(one[_SONAME])
    return Library(
        machine, segments, soname, needed, undefined, exported, relocations, versions,
        text_relocations,
    )  # fmt: skip


def code_of(elf: bytes) -> bytes:
    """The section .text of an object."""
    (start,) = struct.unpack_from("<Q", elf, 40)
    size, count, names = struct.unpack_from("<HHH", elf, 58)
    headers = [struct.unpack_from("<IIQQQQ", elf, start + i * size) for i in range(count)]
    found = next(h for h in headers if elf[headers[names][4] + h[0] :].startswith(b".text\0"))
    return elf[found[4] : found[4] + found[5]]


def _segments(elf: bytes):
    (start,) = struct.unpack_from("<Q", elf, 32)
    size, count = struct.unpack_from("<HH", elf, 54)
    for i in range(count):
        kind, flags, offset, address, _, in_file, in_memory, alignment = struct.unpack_from(
            "<IIQQQQQQ", elf, start + i * size
        )
        yield Segment(kind, flags, offset, address, in_file, in_memory, alignment)
