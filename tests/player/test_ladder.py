"""Ladders: packages of one film at rising rates, under one pair of manifests, played in turns."""

import hashlib
import json
import re
import shutil
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from click.testing import CliRunner

from chunking.audio import copy_audio
from player.package.index import read_index, write_index
from player.package.ladder import read_ladder, rung_folder, write_ladder
from player.package.ladder_manifests import write_ladder_manifests
from player.package.ladder_verify import verify_ladder
from player.package.layout import LADDER_FILE
from player.package.package_error import PackageError
from player.package.signature import sign, signing_key
from player.playback import HashSink, PlayOptions, play_package
from player.session import NotAPackageError, open_package
from player.switching import (
    Rung,
    SwitchError,
    open_rungs,
    parse_switch,
    play_switched,
    upscale_switched,
)
from player.upscale import upscale
from sr.commands.play import command as play
from tests.player.conftest import film_codes, tiny_blob, write_film

NAMES = ["100k", "250.5k", "800k"]


@pytest.fixture(scope="session")
def made_ladder(tmp_path_factory, lr_frames, source_clip, _home) -> Path:
    """Three rungs whose networks and routes are not the same."""
    folder = tmp_path_factory.mktemp("ladder")
    for number, name in enumerate(NAMES):
        blobs = [tiny_blob(10 + number, True), tiny_blob(20 + number, True)]
        routes = [film_codes(n, 4 * number) for n in segment_frames(lr_frames, source_clip, folder)]
        (folder / name).mkdir()
        sounds = [copy_audio(source_clip, folder / name)]
        tracks = {"weights": blobs, "routes": routes, "sounds": sounds}
        write_film(folder / name, lr_frames, source_clip, **tracks)
    finish(folder)
    return folder


def segment_frames(lr_frames, source_clip, folder: Path) -> list[int]:
    probe_folder = folder / "probe"
    index = open_package(write_film(probe_folder, lr_frames, source_clip)).index
    shutil.rmtree(probe_folder)
    assert index is not None
    return [segment.frames for segment in index.segments]


def finish(folder: Path, names=NAMES) -> None:
    write_ladder_manifests(folder, names)
    write_ladder(folder, names, signing_key())


@pytest.fixture
def ladder_dir(made_ladder, tmp_path) -> Path:
    """A copy, to be damaged."""
    return Path(shutil.copytree(made_ladder, tmp_path / "ladder"))


def opened(folder: Path) -> dict:
    return open_rungs(folder, None, open_package)


def digest(frames) -> list[str]:
    return [hashlib.sha256(frame.rgb.tobytes()).hexdigest() for frame in frames]


def test_each_segment_is_from_its_rung(made_ladder, engine):
    packages = opened(made_ladder)
    rungs = {name: Rung(package, engine) for name, package in packages.items()}
    whole = {name: list(upscale(package, engine)) for name, package in packages.items()}
    # Or nothing is told apart.
    assert len({tuple(digest(frames)) for frames in whole.values()}) == 3
    order = ["250.5k", "100k", "100k", "800k"]
    shown = list(upscale_switched(rungs, order))
    frames = [segment.frames for segment in packages["100k"].index.segments]
    assert len(frames) == len(order) > 2
    ends = np.cumsum(frames)
    wanted = [f for name, end, n in zip(order, ends, frames, strict=True)
              for f in whole[name][end - n : end]]  # fmt: skip
    assert digest(shown) == digest(wanted)
    assert [f.pts for f in shown] == [f.pts for f in whole["800k"]]
    assert [f.index for f in shown] == list(range(20))


def test_the_last_choice_stays_and_a_limit_holds(made_ladder, engine):
    packages = opened(made_ladder)
    rungs = {name: Rung(package, engine) for name, package in packages.items()}
    first = packages["100k"].index.segments[0].frames
    frames = list(upscale_switched(rungs, ["100k", "800k"], limit=17))
    rest = list(upscale(packages["800k"], engine))[first:17]
    assert len(frames) == 17 and digest(frames[first:]) == digest(rest)


def test_a_damaged_segment_costs_its_frames_alone(ladder_dir, engine):
    (ladder_dir / "100k/video/seg-00002.m4s").write_bytes(b"no film")
    rungs = {name: Rung(package, engine) for name, package in opened(ladder_dir).items()}
    said = []
    lost = rungs["100k"].package.index.segments[1].frames
    frames = list(upscale_switched(rungs, ["800k", "100k", "800k"], on_event=said.append))
    assert len(frames) == 20 - lost
    assert any("seg-00002" in str(event) for event in said)


def test_the_sound_of_the_highest_is_in_the_file(made_ladder, engine, tmp_path):
    rungs = {name: Rung(package, engine) for name, package in opened(made_ladder).items()}
    files = [tmp_path / "switched.mp4", tmp_path / "highest.mp4"]
    result = play_switched(rungs, ["100k", "800k"], PlayOptions(files[0], threads=1))
    assert result["frames"] == 20 and result["switch"] == ["100k", "800k"]
    play_package(rungs["800k"].package, engine, PlayOptions(files[1], threads=1))
    switched, highest = (sound_of(path) for path in files)
    assert switched == highest and len(highest) > 1000


def sound_of(path: Path) -> bytes:
    with av.open(str(path)) as file:
        return b"".join(bytes(packet) for packet in file.demux(audio=0))


def test_manifests_lead_to_all_rungs(made_ladder):
    root = ET.parse(made_ladder / "manifest.mpd").getroot()
    videos = root.findall(".//{*}AdaptationSet[@contentType='video']/{*}Representation")
    assert [video.get("id") for video in videos] == NAMES
    for video in videos:
        template = video.find("{*}SegmentTemplate")
        assert (made_ladder / template.get("initialization")).is_file()
    lines = (made_ladder / "master.m3u8").read_text().splitlines()
    variants = [line for line in lines if line.endswith("/video.m3u8")]
    assert variants == [f"{name}/video.m3u8" for name in NAMES]
    assert sum(line.startswith("#EXT-X-STREAM-INF") for line in lines) == 3
    uris = {uri for line in lines for uri in re.findall('URI="([^"]*)"', line)}
    assert uris == {"800k/audio.m3u8"} and (made_ladder / "800k/audio.m3u8").is_file()


def test_a_ladder_is_verified(made_ladder):
    found = verify_ladder(made_ladder)
    assert found.ok and found.files > 3 * 5
    assert [rung.folder for rung in read_ladder(made_ladder)[0].rungs] == NAMES


def other_film(folder: Path, lr_frames, source_clip) -> None:
    """Put a package of the same maker, of another film, in the place of a rung."""
    shutil.rmtree(folder / "250.5k")
    write_film(folder / "250.5k", [255 - frame for frame in lr_frames], source_clip)


DAMAGES = {
    "another film": (other_film, "250.5k"),
    "gone": (lambda folder, *_: shutil.rmtree(folder / "250.5k"), "250.5k"),
    "manifest": (lambda folder, *_: append(folder / "manifest.mpd"), "manifests are not those"),
    "playlist": (lambda folder, *_: append(folder / "master.m3u8"), "manifests are not those"),
    "segment": (lambda folder, *_: append(folder / "100k/video/seg-00001.m4s"), "100k/video/seg"),
    "signature": (lambda folder, *_: resign(folder, manifests=27 * "A" + "="), "is wrong"),
}


def append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n")


def resign(folder: Path, sign_again=False, **changes) -> None:
    """Change ladder.json, and sign it again or not."""
    source = {**json.loads((folder / LADDER_FILE).read_text()), **changes}
    source = sign(source, signing_key()) if sign_again else source
    (folder / LADDER_FILE).write_text(json.dumps(source))


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found(ladder_dir, lr_frames, source_clip, damage):
    make, said = DAMAGES[damage]
    make(ladder_dir, lr_frames, source_clip)
    found = verify_ladder(ladder_dir)
    assert not found.ok and any(said in str(fault) for fault in found.faults), found.faults


@pytest.mark.parametrize("names", [["../800k"], ["/etc"], ["800k", "800k"], [], ["800k"] * 17])
def test_names_that_are_none_are_refused(ladder_dir, names):
    good = json.loads((ladder_dir / LADDER_FILE).read_text())["rungs"][0]
    resign(ladder_dir, True, rungs=[{**good, "folder": name} for name in names])
    with pytest.raises(PackageError, match=r"ladder\.json: "):
        read_ladder(ladder_dir)


def test_no_byte_of_it_can_be_changed_unseen(ladder_dir):
    """And whatever stands there, what is raised is said in one line."""
    path, draw = ladder_dir / LADDER_FILE, np.random.default_rng(3)
    good = path.read_bytes()
    for place, value in draw.integers(0, (len(good), 256), (300, 2)):
        path.write_bytes(good[:place] + bytes([value]) + good[place + 1 :])
        try:
            found, _ = read_ladder(ladder_dir)
        except PackageError as error:
            assert "\n" not in str(error) and str(error).startswith(str(path))
        else:  # white space, or the same byte again
            assert json.loads(path.read_bytes()) == json.loads(good)
            assert [rung.folder for rung in found.rungs] == NAMES


def test_a_manifest_that_leads_away_is_found_though_it_is_signed(ladder_dir):
    path = ladder_dir / "master.m3u8"
    path.write_text(path.read_text().replace("800k/video.m3u8", "https://example.org/v.m3u8"))
    write_ladder(ladder_dir, NAMES, signing_key())
    assert any("no file of a rung" in str(fault) for fault in verify_ladder(ladder_dir).faults)


def test_another_signer_is_refused(made_ladder):
    with pytest.raises(PackageError, match="not among the trusted"):
        open_rungs(made_ladder, frozenset(["AAAA"]), open_package)


def test_rungs_that_are_cut_otherwise_are_not_put_together(ladder_dir):
    index = read_index(ladder_dir / "800k").index
    last = index.segments[-1]
    later = (*index.segments[:-1], replace(last, start=last.start + 1))
    write_index(ladder_dir / "800k", replace(index, segments=later), signing_key())
    with pytest.raises(PackageError, match="800k and 100k are not of one film"):
        write_ladder(ladder_dir, NAMES, signing_key())


def test_it_is_no_package(made_ladder):
    with pytest.raises(NotAPackageError, match="is a ladder: give the folder of one of its rungs"):
        open_package(made_ladder)


def test_what_may_be_asked_of_a_switch():
    assert parse_switch("100k,800,100", NAMES) == ["100k", "800k", "100k"]
    with pytest.raises(SwitchError, match="no rung 300k; there are 100k, 250"):
        parse_switch("300k", NAMES)
    assert [rung_folder(rate) for rate in (800.0, 250.5, 1e6)] == ["800k", "250.5k", "1000000k"]


def test_play_takes_a_ladder(made_ladder, made_package, engine_path, engine):
    def run(folder, *arguments):
        asked = [str(folder), "--engine", str(engine_path), "--json", *arguments]
        return CliRunner().invoke(play, asked)

    switched = run(made_ladder, "--switch", "100,800k")
    assert json.loads(switched.stdout)["switch"] == ["100k", "800k"]
    highest = HashSink()
    for frame in upscale(open_package(made_ladder / "800k"), engine):
        highest(frame)
    assert run(made_ladder, "--verify", highest.hex).exit_code == 0
    assert "is for a ladder" in run(made_package, "--switch", "100k").output
    assert isinstance(run(made_ladder, "--switch", "7k").exception, SwitchError)
    assert run(made_ladder, "--switch", "100k", "--window").exit_code == 2
