"""The names of a package's files and folders, relative to the package.

job.json report.json  manifest.mpd master.m3u8 video.m3u8 audio.m3u8
video/init.mp4 video/seg-00001.m4s ...  audio/...
sr/index.bin sr/weights-000.bin sr/router.bin sr/routes-00001.bin
work/                                     only while an encode is under way
"""

JOB_FILE, REPORT_FILE = "job.json", "report.json"
WORK = "work"
VIDEO, AUDIO, SR = "video", "audio", "sr"
INDEX_PATH = f"{SR}/index.bin"
PLAIN_INDEX_PATH = f"{SR}/index.json"  # as earlier versions wrote it
SHIPPED = "shipped"  # in the place of a name: a network that lies with the player
ROUTER_PATH = f"{SR}/router.bin"
MPD_NAME, MASTER_NAME = "manifest.mpd", "master.m3u8"
INIT_NAME = "init.mp4"
SEGMENTS = "seg-*.m4s"  # as a glob, in a stream's folder
# Earlier versions put an engine here. Nothing in a package is code: it is never loaded.
OLD_ENGINES = "engine"
# An engine's own folder, in the user's cache or where `compile -o` says.
ENGINE_LIBRARY, ENGINE_INFO = "libpocketsr.so", "engine.json"
ENGINE_ABI = 5  # as psr_abi() of compiler/runtime: what a player and an engine must agree on


def playlist_name(kind: str) -> str:
    """The HLS media playlist of a stream, VIDEO or AUDIO."""
    return f"{kind}.m3u8"


def manifest_names(with_audio: bool = True) -> tuple[str, ...]:
    """The manifests and the playlists that they lead to."""
    kinds = (VIDEO, AUDIO) if with_audio else (VIDEO,)
    return (MPD_NAME, MASTER_NAME, *(playlist_name(kind) for kind in kinds))


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
MADE_FOLDERS = (WORK, VIDEO, AUDIO, SR, OLD_ENGINES)
MADE_FILES = (
    JOB_FILE,
    REPORT_FILE,
    *manifest_names(),
)
