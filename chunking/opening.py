"""How FFmpeg opens files: it is told what they may be, and guesses nothing more.

A file that is a playlist, a list of files or the description of a session would have FFmpeg read
other files and open sockets; what has a device's name would have it look through the camera. So a
film is opened as a container that holds its own pictures, and a package's segment as MP4 alone,
with no protocol, no codec but those that packages have, and frames no larger than they may be.
"""

import io
import re
from dataclasses import dataclass
from functools import cache
from os import PathLike, fspath
from pathlib import Path

import av
from av.container import InputContainer

from chunking.images import Film, ImageSequence, open_image
from chunking.input_error import InputError, NoSuchTrackError
from player.package.limits import MAX_LR_PIXELS, MAX_LR_SIDE_PX

# Demuxers of other files, of the net and of devices, by FFmpeg's names.
_OTHER_FILES = {"concat", "concatf", "hls", "applehttp", "dash", "imf", "webm_dash_manifest"}
_NETWORK = {"sdp", "rtp", "rtsp", "rtmp", "mpjpeg"}
_DEVICES = {
    "alsa", "avfoundation", "bktr", "decklink", "dshow", "dv1394", "fbdev", "gdigrab", "iec61883",
    "jack", "kmsgrab", "lavfi", "libcdio", "libdc1394", "openal", "oss", "pulse", "sndio",
    "video4linux2", "v4l2", "vfwcap", "x11grab", "xcbgrab",
}  # fmt: skip
_TEXTS = {"tty", "bin", "xbin", "adf", "idf"}  # any text is a picture of letters to FFmpeg
_REFUSED = _OTHER_FILES | _NETWORK | _DEVICES | _TEXTS
# The decoders of what streams are made of: FFmpeg has some hundred more.
_PART_CODECS = "h264,hevc,libdav1d,av1,vp9,aac,mp3,mp3float,opus,libopus,ac3,eac3,flac"
# The beginnings of texts that lead elsewhere.
_LEADS = re.compile(rb"\s*(#EXTM3U|ffconcat|v=0\s|<\?xml[^>]*>\s*<MPD|<MPD|rtsp:|https?:)", re.I)
_WEBP = re.compile(rb"RIFF.{4}WEBPVP8X.{4}(.)", re.S)  # and its flags, of which 2 is animation
_URL = re.compile(r"(?!file:)([a-z][a-z0-9+.-]+):/+[^/]", re.I)
# Decoders align the sides of the frames that they allocate.
_ALIGNED_PX = 128


@dataclass(frozen=True)
class Mp4:
    """An initialisation and segments behind it, as bytes; `name` is for messages.

    `size` is the (height, width) that the frames must have. None takes what a package may have.
    """

    name: str
    data: bytes
    size: tuple[int, int] | None = None

    @property
    def most_pixels(self) -> int:
        """Of a frame, with what decoders add to align its sides."""
        if self.size is None:
            return MAX_LR_PIXELS + _ALIGNED_PX * 2 * MAX_LR_SIDE_PX
        return (self.size[0] + _ALIGNED_PX) * (self.size[1] + _ALIGNED_PX)


@dataclass(frozen=True)
class VideoFile(PathLike[str]):
    """A film of which the video stream `video` (from 1) is meant, or None: the one to choose."""

    path: Path
    video: int | None = None

    def __fspath__(self) -> str:
        return str(self.path)


def video_of(film: Film, video: int | None) -> VideoFile | ImageSequence:
    """A film with the video stream that is meant; images are one. Raises NoSuchTrackError."""
    if not isinstance(film, ImageSequence):
        return VideoFile(film, video)
    if video not in (None, 1):
        raise NoSuchTrackError(f"{film.path} has no video {video}: images are one")
    return film


Source = str | PathLike[str] | ImageSequence | Mp4


def describe(source: Source) -> str:
    """A name of `source` for messages."""
    if isinstance(source, ImageSequence):
        return str(source.path)
    return source.name if isinstance(source, Mp4) else fspath(source)


def open_source(source: Source) -> InputContainer:
    """Opens a film by its path, the first of its images, or the bytes of a package.

    Raises InputError.
    """
    name = describe(source)
    try:
        if isinstance(source, ImageSequence):
            return open_image(source.images[0])
        return _open_mp4(source) if isinstance(source, Mp4) else _open_film(Path(source), name)
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror}") from error
    except (av.FFmpegError, ValueError) as error:
        raise InputError(
            f"{name} is not a video that FFmpeg can read, or is damaged at its start: "
            "give a whole video file"
        ) from error


def has_packets(source: Source, kind: str, number: int) -> bool:
    """Whether there is anything in a film's stream `number` (from 1) of "audio" or "subtitles".

    Read up to the first packet, of an empty stream to the film's end. What breaks off before is
    not known to be empty. Raises InputError.
    """
    with open_source(source) as container:
        stream = getattr(container.streams, kind)[number - 1]
        try:
            return any(packet.size for packet in container.demux(stream))
        except av.FFmpegError:
            return True


def _open_film(path: Path, name: str) -> InputContainer:
    _check_file(path, name)
    webp = _WEBP.match(_beginning(path))
    if webp and webp[1][0] & 2:
        # FFmpeg opens it, and decodes no frame of it.
        raise InputError(f"{name}: animated WebP is not supported: make a video of it first")
    options = {"format_whitelist": _film_formats(), "protocol_whitelist": "file"}
    try:
        # "file:", so that a colon in the name is a colon. Old files have tags that are not UTF-8.
        return av.open(f"file:{path}", "r", options=options, metadata_errors="replace")
    except (av.FFmpegError, ValueError) as error:
        if _LEADS.match(_beginning(path)):
            raise InputError(
                f"{name} is a playlist, which leads to other files: give the film itself"
            ) from error
        raise


def _check_file(path: Path, name: str) -> None:
    """Raises InputError for what is no plain file: a film is opened, and read, more than once."""
    if path.is_dir():
        raise InputError(f"{name} is a directory: give a video file")
    if not path.exists():
        if url := _URL.match(name):
            # pathlib has taken one of the strokes.
            raise InputError(
                f"{url[1]}://{name[url.end() - 1 :]} is a URL: fetch the film, and give its file"
            )
        if name == "-":
            raise InputError("- is standard input, which can be read once: give the film's file")
        raise InputError(f"{name} does not exist: check the path")
    if not path.is_file():
        # To open a pipe may be to wait for ever.
        raise InputError(
            f"{name} is a pipe or a device, which can be read once: write the film to a file first"
        )


@cache
def _film_formats() -> str:
    return ",".join(f for f in sorted(av.formats_available) if not _REFUSED & {*f.split(",")})


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(256)


def _open_mp4(source: Mp4) -> InputContainer:
    # Larger frames do not decode, whatever the container says of them.
    decoding = {"max_pixels": str(source.most_pixels), "codec_whitelist": _PART_CODECS}
    # For what is decoded while the container is opened, and for the rest.
    options = {"protocol_whitelist": "none"} | decoding
    container = av.open(
        io.BytesIO(source.data), "r", format="mp4", options=options, metadata_errors="replace"
    )
    for stream in container.streams:
        if stream.codec_context is not None:
            stream.codec_context.options = decoding
    return container
