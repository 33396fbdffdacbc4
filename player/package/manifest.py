"""`manifest.mpd` (DASH) and `master.m3u8` (HLS) over the same CMAF segments.

    video/init.mp4  video/seg-00001.m4s ...  <--- manifest.mpd                               dash.py
    audio/init.mp4  audio/seg-00001.m4s ...  <--- master.m3u8 -> video.m3u8, audio.m3u8, ...  hls.py
    text/1.vtt ...

Both stay plain, so that every player accepts them and shows the LR video; only `sr/index.bin`
knows of the network.
"""

from collections.abc import Sequence
from pathlib import Path

from player.package.artefact import write_text
from player.package.dash import dash_manifest
from player.package.hls import master_playlist, media_playlist, text_playlist
from player.package.layout import (
    INIT_NAME,
    MASTER_NAME,
    MPD_NAME,
    VIDEO,
    playlist_name,
    segment_name,
    sound_folder,
    text_name,
    text_path,
)
from player.package.package_error import PackageError
from player.package.streams import StreamFiles, TextFile, span


def write_manifests(
    package: Path,
    video: StreamFiles,
    sounds: Sequence[StreamFiles] = (),
    texts: Sequence[TextFile] = (),
) -> None:
    """Write all manifests into the folder `package`, the masters last.

    Raises PackageError where a file's name is not as the templates say, OSError.
    """
    streams = {VIDEO: video} | {sound_folder(i): s for i, s in enumerate(sounds, start=1)}
    for kind, stream in streams.items():
        numbers = range(1, len(stream.segments) + 1)
        wanted = [f"{kind}/{INIT_NAME}", *(f"{kind}/{segment_name(n)}" for n in numbers)]
        if [p.relative_to(package).as_posix() for p in stream.files] != wanted:
            raise PackageError(f"{kind}: segments are not named {wanted[0]}, {wanted[1]}, ...")
        write_text(package / playlist_name(kind), media_playlist(kind, stream.lengths_s))
    _, end_s = span(video, sounds)
    for number, text in enumerate(texts, start=1):
        if text.path.relative_to(package).as_posix() != text_path(number):
            raise PackageError(f"{text.path} is not {text_path(number)}")
        write_text(package / playlist_name(text_name(number)), text_playlist(number, end_s))
    # The masters last: what they name is there by then.
    write_text(package / MASTER_NAME, master_playlist(video, sounds, texts))
    write_text(package / MPD_NAME, dash_manifest(video, sounds, texts))
