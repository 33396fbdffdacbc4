"""Manifests are those that were signed, and lead nowhere but to the package's own files."""

from dataclasses import replace

import pytest

from player.package.index import read_index, write_index
from player.package.layout import MASTER_NAME, MPD_NAME, manifest_names
from player.package.manifest_check import manifests_hash
from player.package.signature import signing_key
from player.package.verify import verify_package

NAMES = manifest_names(0, 0)


def faults(package) -> dict[str, str]:
    return {fault.file: fault.reason for fault in verify_package(package).faults}


def sign(package) -> None:
    """As whoever made the package could: the hash is of the manifests as they are."""
    index = read_index(package).index
    changed = replace(index, manifests=manifests_hash(package, 0, 0))
    write_index(package, changed, signing_key())


@pytest.mark.parametrize("name", NAMES)
def test_a_changed_manifest_is_a_fault(package_dir, name):
    assert not faults(package_dir)
    path = package_dir / name
    path.write_text(path.read_text() + "\n")
    (file, reason), *others = faults(package_dir).items()
    assert not others and "is not the one that was signed" in reason
    if name == "video.m3u8":
        assert (file, reason) == (name, "is not the one that was signed")
    else:
        # Of these two the index does not say enough.
        assert file == MPD_NAME and reason.endswith(f"or {MASTER_NAME} is not")
    path.unlink()
    assert "cannot be read" in faults(package_dir)[name]


def test_a_playlist_that_is_flipped_is_named_by_itself(package_dir):
    playlist = package_dir / "video.m3u8"
    data = bytearray(playlist.read_bytes())
    data[data.index(b"#EXTINF:") + 8] ^= 1
    playlist.write_bytes(data)
    assert faults(package_dir) == {"video.m3u8": "is not the one that was signed"}
    mpd = package_dir / MPD_NAME
    mpd.write_text(mpd.read_text() + "\n")  # two at once, and nobody knows
    assert all(name in str(faults(package_dir)) for name in NAMES)


STRANGE = {
    "playlist": (MASTER_NAME, "video.m3u8", "https://example.org/video.m3u8"),
    "segment": ("video.m3u8", "video/seg-00002.m4s", "../../etc/passwd"),
    "hidden segment": ("video.m3u8", "video/seg-00002.m4s", "video/seg-00009.m4s"),
    "initialisation": ("video.m3u8", 'URI="video/init.mp4"', 'URI="//example.org/init.mp4"'),
    "key": ("video.m3u8", "#EXTINF", '#EXT-X-KEY:METHOD=AES-128,URI="http://h/key"\n#EXTINF'),
    "base": (MPD_NAME, "<BaseURL>./</BaseURL>", "<BaseURL>http://h/</BaseURL>"),
    "location": (MPD_NAME, "<BaseURL>", "<Location>http://h/m.mpd</Location><BaseURL>"),
    "template": (MPD_NAME, "video/seg-$Number%05d$.m4s", "http://h/$Number%05d$.m4s"),
    "init of MPD": (MPD_NAME, 'initialization="video/init.mp4"', 'initialization="file:///x"'),
    "link": (
        MPD_NAME, "<Period ", '<Period xmlns:x="http://www.w3.org/1999/xlink" x:href="http://h" ',
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", STRANGE)
def test_an_address_elsewhere_is_a_fault_whoever_signed_it(package_dir, kind):
    name, before, after = STRANGE[kind]
    text = (package_dir / name).read_text()
    assert before in text
    (package_dir / name).write_text(text.replace(before, after, 1))
    sign(package_dir)
    assert "leads to" in faults(package_dir)[name]


@pytest.mark.parametrize(
    "data", [b"<MPD", b"\xff\xfe", b"<!DOCTYPE x [<!ENTITY a 'b'>]><MPD>&c;</MPD>"]
)
def test_a_manifest_that_is_none_is_a_fault(package_dir, data):
    (package_dir / MPD_NAME).write_bytes(data)
    sign(package_dir)
    assert "damaged" in faults(package_dir)[MPD_NAME]


def test_entities_do_not_unfold(package_dir):
    """A billion of them, in a few lines."""
    rows = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 12))
    bomb = f'<!DOCTYPE x [<!ENTITY l0 "lol">{rows}]><MPD><BaseURL>&l11;</BaseURL></MPD>'
    (package_dir / MPD_NAME).write_text(bomb)
    sign(package_dir)
    assert "damaged" in faults(package_dir)[MPD_NAME]


def test_a_package_of_before_has_no_hash_of_its_manifests(package_dir):
    index = read_index(package_dir).index
    assert len(index.manifests) == 40
    write_index(package_dir, replace(index, manifests=""), signing_key())
    assert not faults(package_dir)
