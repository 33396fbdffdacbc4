"""The names of a package's files and folders, relative to the package.

job.json report.json  manifest.mpd master.m3u8 video.m3u8 audio.m3u8 audio-2.m3u8 text-1.m3u8 ...
video/init.mp4 video/seg-00001.m4s ...  audio/...  audio-2/... (the second track, if there is one)
text/1.vtt ... text/chapters.vtt
sr/index.bin sr/weights-000.bin sr/router.bin sr/routes-00001.bin
work/                                     only while an encode is under way
"""

from player.package.limits import MAX_SOUNDS, MAX_TEXTS

JOB_FILE, REPORT_FILE = "job.json", "report.json"
WORK = "work"
VIDEO, AUDIO, TEXT, SR = "video", "audio", "text", "sr"
INDEX_PATH = f"{SR}/index.bin"
PLAIN_INDEX_PATH = f"{SR}/index.json"  # as earlier versions wrote it
SHIPPED = "shipped"  # in the place of a name: a network that lies with the player
ROUTER_PATH = f"{SR}/router.bin"
CHAPTERS_PATH = f"{TEXT}/chapters.vtt"
MPD_NAME, MASTER_NAME = "manifest.mpd", "master.m3u8"
LADDER_FILE = "ladder.json"  # beside both, where they lead to several packages
INIT_NAME = "init.mp4"
SEGMENTS = "seg-*.m4s"  # as a glob, in a stream's folder
# Earlier versions put an engine here. Nothing in a package is code: it is never loaded.
OLD_ENGINES = "engine"
# An engine's own folder, in the user's cache or where `compile -o` says.
ENGINE_LIBRARY, ENGINE_INFO = "libpocketsr.so", "engine.json"
ENGINE_ABI = 5  # as psr_abi() of compiler/runtime: what a player and an engine must agree on


def sound_folder(number: int) -> str:
    """The folder of a track of sound, from 1."""
    return AUDIO if number == 1 else f"{AUDIO}-{number}"


def text_name(number: int) -> str:
    """The name of a track of subtitles, from 1: of its playlist, and in the MPD."""
    return f"{TEXT}-{number}"


def text_path(number: int) -> str:
    """The file of a track of subtitles, from 1."""
    return f"{TEXT}/{number}.vtt"


def playlist_name(stream: str) -> str:
    """The HLS media playlist of a stream: VIDEO, a `sound_folder`, a `text_name`."""
    return f"{stream}.m3u8"


def manifest_names(sounds: int, texts: int) -> tuple[str, ...]:
    """The manifests, and the playlists that they lead to with so many tracks."""
    streams = [VIDEO, *(sound_folder(i + 1) for i in range(sounds))]
    streams += [text_name(i + 1) for i in range(texts)]
    return (MPD_NAME, MASTER_NAME, *map(playlist_name, streams))


def segment_name(number: int | str) -> str:
    """The file of a media segment, from 1, in its stream's folder; or of a template's number."""
    # DASH's template prints the number itself ($Number%05d$): both must come to the same name.
    return f"seg-{number:05d}.m4s" if isinstance(number, int) else f"seg-{number}.m4s"


def weights_name(network: int) -> str:
    """The file of a network's weights blob, from 0, in SR."""
    return f"weights-{network:03d}.bin"


def routes_path(segment: int) -> str:
    """The route map of a segment, counted from 0: its name has the segment's own number."""
    return f"{SR}/routes-{segment + 1:05d}.bin"


# What an encode makes, engines of old versions included: a restart removes these, nothing else.
MADE_SOUNDS = tuple(sound_folder(i + 1) for i in range(MAX_SOUNDS))
MADE_FOLDERS = (WORK, VIDEO, *MADE_SOUNDS, TEXT, SR, OLD_ENGINES)
MADE_SUFFIXES = (".mp4", ".m4s", ".vtt", ".bin", ".json")  # of the files in these folders
MADE_FILES = (
    JOB_FILE,
    REPORT_FILE,
    LADDER_FILE,
    *manifest_names(MAX_SOUNDS, MAX_TEXTS),
)
