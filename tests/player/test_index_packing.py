"""The file of an index: its JSON comes back, few bytes, and nothing that is not one opens."""

import json
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from player.package.index import index_path, read_index
from player.package.index_packing import DICTIONARY, pack_index, unpack_index
from player.package.layout import INDEX_PATH, PLAIN_INDEX_PATH
from player.package.limits import MAX_INDEX_BYTES
from player.package.package_error import PackageError
from player.package.verify import verify_package
from player.session import open_package
from tests.player.indexes import source_of


@given(st.binary(max_size=5000))
def test_any_text_comes_back(text):
    assert unpack_index(pack_index(text)) == text


def test_a_browser_needs_no_preset_dictionary(made_package):
    """Which it could not give: a stored block in front of the stream does the same."""
    data = (made_package / INDEX_PATH).read_bytes()
    size = len(DICTIONARY)
    stored = struct.pack("<BHH", 0, size, size ^ 0xFFFF) + DICTIONARY
    whole = zlib.decompress(stored + data[5:], -zlib.MAX_WBITS)
    assert json.loads(whole[size:]) == source_of(made_package)


def test_the_dictionary_is_the_formats():
    """Another one would make all packages unreadable: it needs another version."""
    assert zlib.crc32(DICTIONARY) == 1925119683


def test_an_index_is_smaller_by_a_third_than_its_json(made_package):
    text = json.dumps(source_of(made_package), separators=(",", ":"))
    assert (made_package / INDEX_PATH).stat().st_size < 0.67 * len(text)


@settings(max_examples=200)
@given(st.data())
def test_damage_is_refused_or_another_text(data):
    packed = bytearray(pack_index(b'{"schema":"pocketsr.index/2","version":"0.1.0","scale":2}'))
    packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert len(unpack_index(bytes(packed))) <= MAX_INDEX_BYTES
    except PackageError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is no index"),
        (b"{}", "is no index"),
        (b"PSRI\2abc", "newer"),
        (b"PSRI\1", "its length is wrong"),
        (pack_index(b"{}")[:-1], "its length is wrong"),
        (pack_index(b"{}") + b"x", "its length is wrong"),
        (b"PSRI\1\xff\xff\xff", "is damaged"),
        (pack_index(bytes(MAX_INDEX_BYTES + 1)), "more than"),
    ],
)
def test_what_is_no_index_is_refused(data, reason):
    with pytest.raises(PackageError, match=reason):
        unpack_index(data)


def test_a_bomb_is_not_unpacked():
    """1 GB of spaces in a megabyte."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    spaces = b" " * (1 << 20)
    bomb = b"".join([b"PSRI\1", *(packer.compress(spaces) for _ in range(1024)), packer.flush()])
    with pytest.raises(PackageError, match="more than"):
        unpack_index(bomb)


def test_the_json_of_earlier_versions_is_read_as_ever(package_dir):
    index, text = read_index(package_dir).index, json.dumps(source_of(package_dir))
    (package_dir / INDEX_PATH).unlink()
    (package_dir / PLAIN_INDEX_PATH).write_text(text)
    assert index_path(package_dir) == PLAIN_INDEX_PATH
    assert read_index(package_dir).index == index and open_package(package_dir).signer
    assert verify_package(package_dir).ok
