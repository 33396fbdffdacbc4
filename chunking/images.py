"""A film as numbered images: PNG, JPEG or TIFF files of one size, one a frame.

    frames/%05d.png, or the folder ──find_images──► ImageSequence ──decode_images──► frames

Each file is opened as the kind of image that its first bytes say, out of memory, and nothing more.
"""

import hashlib
import io
import re
from collections.abc import Generator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
from av.container import InputContainer

from chunking.input_error import InputError
from player.package.entries import digest

ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
# FFmpeg's demuxers of a single image, by how its file begins.
_DEMUXERS = {
    b"\x89PNG\r\n\x1a\n": "png_pipe",
    b"\xff\xd8\xff": "jpeg_pipe",
    b"II*\0": "tiff_pipe",
    b"MM\0*": "tiff_pipe",
}
_CODECS = {"codec_whitelist": "png,apng,mjpeg,tiff"}
# What is missing of an image is an error, where films are read on; of TIFF a tag that FFmpeg does
# not know would be one as well.
_STRICT = _CODECS | {"err_detect": "explode"}
_JPEG_SCAN, _JPEG_END = b"\xff\xda", b"\xff\xd9"
_NUMBER = re.compile(r"%(0(\d{1,2}))?d")  # as printf has it
_NUMBERED = re.compile(r"(.*?)(\d+)(\D*)", re.S)  # the last number of a name


@dataclass(frozen=True)
class ImageSequence:
    """`images` in order, `frame_rate` of them a second; `path` is how they were named."""

    path: Path
    frame_rate: Fraction
    images: tuple[Path, ...]

    @property
    def name(self) -> str:
        return self.path.name

    def resolve(self) -> Path:
        """An absolute path, to compare with others."""
        return self.path.resolve()


Film = Path | ImageSequence


def film_sha256(film: Film) -> str:
    """What a film is: of its bytes, those of all its images and their rate."""
    if isinstance(film, Path):
        return str(digest(film)[0])
    sums = [str(film.frame_rate), *(digest(image)[0] for image in film.images)]
    return hashlib.sha256("\n".join(sums).encode("ascii")).hexdigest()


def find_images(path: Path) -> tuple[Path, ...]:
    """The images that `path` stands for, in order; none where it is no folder or pattern of any.

    Raises InputError where they are no sequence: a number is missing or there twice, or a folder
    holds images that are not numbered alike.
    """
    if path.is_dir():
        names = [p.name for p in path.iterdir() if p.suffix.lower() in ENDINGS]
        numbered = _numbered_alike(path, [n for n in names if not n.startswith(".")])
        folder = path
    elif (pattern := _NUMBER.search(path.name)) and not path.exists() and path.parent.is_dir():
        numbered, folder = _matching(path, pattern), path.parent
        if not numbered:
            raise InputError(f"{path}: no file of {folder} has such a name: check the pattern")
    else:
        return ()
    for number, after in pairwise(sorted(numbered)):
        if after != number + 1:
            raise InputError(
                f"{path}: number {number + 1} is missing, {numbered[number]} is followed by "
                f"{numbered[after]}: number the images without a gap"
            )
    return tuple(folder / numbered[number] for number in sorted(numbered))


def _matching(path: Path, pattern: re.Match[str]) -> dict[int, str]:
    """The names of a folder that a pattern stands for, by their numbers."""
    before, behind = path.name[: pattern.start()], path.name[pattern.end() :]
    found = re.compile(re.escape(before) + r"(\d{1,18})" + re.escape(behind), re.S)
    width = int(pattern[2] or 0)
    matches = (found.fullmatch(p.name) for p in path.parent.iterdir())
    return {int(m[1]): m[0] for m in matches if m and f"{int(m[1]):0{width}d}" == m[1]}


def _numbered_alike(folder: Path, names: list[str]) -> dict[int, str]:
    """The names by their numbers; raises InputError where they differ in anything else."""
    numbered: dict[int, str] = {}
    kinds = set()
    for name in sorted(names):
        match = _NUMBERED.fullmatch(name)
        number = int(match[2]) if match and len(match[2]) <= 18 else -1
        kinds.add((match[1], match[3]) if match else name)
        if number < 0 or number in numbered or len(kinds) > 1:
            raise InputError(
                f"{folder} holds images that are not numbered alike ({names[0]}, {name}): "
                f"name them, as in {folder}/%05d.png"
            )
        numbered[number] = name
    return numbered


def open_image(path: Path) -> InputContainer:
    """Opens one image; raises InputError."""
    if not path.is_file():
        raise InputError(f"{path} is no plain file: give images")
    data = path.read_bytes()
    demuxer = next((d for start, d in _DEMUXERS.items() if data.startswith(start)), None)
    if demuxer is None:
        raise InputError(f"{path} is no PNG, JPEG or TIFF image: convert the images to PNG")
    # Its decoder fills up what is cut off.
    if demuxer == "jpeg_pipe" and data.rfind(_JPEG_END) < data.rfind(_JPEG_SCAN):
        raise _damaged(path)
    decoding = _CODECS if demuxer == "tiff_pipe" else _STRICT
    try:
        options = {"protocol_whitelist": "none"} | decoding
        container = av.open(
            io.BytesIO(data), "r", format=demuxer, options=options, metadata_errors="replace"
        )
    except (av.FFmpegError, ValueError) as error:
        raise _damaged(path) from error
    container.streams.video[0].codec_context.options = decoding
    return container


def _damaged(path: Path) -> InputError:
    return InputError(f"{path} is damaged or cut off: make that image again")


def decode_images(sequence: ImageSequence) -> Generator[av.VideoFrame, None, None]:
    """Each image as a frame. Raises InputError for one that is damaged, or of another size."""
    size = None
    for path in sequence.images:
        frame = _decode(path)
        size = size or (frame.width, frame.height)
        if (frame.width, frame.height) != size:
            raise InputError(
                f"{path} has {frame.width}x{frame.height} px, {sequence.images[0]} "
                f"{size[0]}x{size[1]}: give images of one size"
            )
        yield frame


def _decode(path: Path) -> av.VideoFrame:
    with open_image(path) as container:
        try:
            frame = next(container.decode(video=0))
        except (av.FFmpegError, StopIteration) as error:
            raise _damaged(path) from error
    if frame.is_corrupt:
        raise _damaged(path)
    return frame
