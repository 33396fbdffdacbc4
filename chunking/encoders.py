"""The encoders of the LR stream: all that is known of a codec, by command line and manifest too."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

import av
from av.container import OutputContainer
from av.video.stream import VideoStream

from chunking.colour import Colour, tag_numbers, yuv_colour

# SVT-AV1 writes its banner to stderr past FFmpeg's log; 1 is "errors only".
os.environ.setdefault("SVT_LOG", "1")

_NEVER = 1_000_000  # frames between key frames: only the ones that the writer asks for


@dataclass(frozen=True)
class Encoder:
    """An FFmpeg encoder; higher crf is smaller and worse. `crf` None: lossless, none to set."""

    library: str
    pix_fmt: str
    tag: str | None
    crf: int | None
    options: Mapping[str, str] = field(default_factory=dict)


# No key frames of x264's and x265's own (scenecut): the muxer starts a segment at each, and there
# would be more segments than the writer has times for. Those that it asks for are IDR and end
# their group (no open GOP), so that each segment decodes alone.
# No B frames with x264 and x265: FFmpeg's fragmented MP4 would shift every pts by the reordering
# delay. AV1 reorders inside its temporal units and loses nothing.
# No macroblock tree with x264: with it, now and then an encode of the same frames gives other
# bytes (FFmpeg 8.1.2 at 64x48 px: in 5 of 6 series of 500 to 1,500 encodes; without it in none of
# 1,700 encodes), and what is trained on the decoded frames could not be reproduced.
ENCODERS: dict[str, Encoder] = {
    "av1": Encoder("libsvtav1", "yuv420p", "av01", 24, {"preset": "4"}),
    "h264": Encoder(
        "libx264", "yuv420p", "avc1", 18,
        {"preset": "slow", "bf": "0", "sc_threshold": "0", "forced-idr": "1", "mbtree": "0"},
    ),
    "h265": Encoder(
        "libx265", "yuv420p", "hvc1", 20,
        {"preset": "medium", "forced-idr": "1",
         "x265-params": "bframes=0:scenecut=0:open-gop=0:log-level=none"},
    ),
    "lossless": Encoder(
        "libx264rgb", "rgb24", "avc1", None,
        {"preset": "medium", "qp": "0", "bf": "0", "sc_threshold": "0", "forced-idr": "1"},
    ),
}  # fmt: skip


def _hevc_string(config: bytes) -> str:
    # hvcC: two bits of profile space, one of tier, five of profile; 32 compatibility flags, which
    # the string has in reverse; six bytes of constraints, whose last zeros are left out; the level.
    first, compatibility = config[1], int.from_bytes(config[2:6], "big")
    space = ("", "A", "B", "C")[first >> 6]
    tier = "H" if first & 0x20 else "L"
    reversed_flags = int(f"{compatibility:032b}"[::-1], 2)
    constraints = config[6:12].rstrip(b"\0")
    parts = [f"{space}{first & 31}", f"{reversed_flags:X}", f"{tier}{config[12]}"]
    return ".".join(parts + [f"{byte:X}" for byte in constraints])


def _av1_string(config: bytes) -> str:
    # av1C: three bits of profile, five of level; then tier, "more than 8 bits", "12 bits".
    profile, level = config[1] >> 5, config[1] & 31
    tier = "H" if config[2] & 0x80 else "M"
    depth = 12 if config[2] & 0x20 else 10 if config[2] & 0x40 else 8
    return f"{profile}.{level:02d}{tier}.{depth:02d}"


# Of a codec's configuration box in a sample entry, what stands behind "avc1." and the like in a
# manifest: RFC 6381 3.3-3.4 with ISO/IEC 14496-15 Annex E; "AV1 Codec ISO Media File Format
# Binding" 5.
CODEC_STRINGS: dict[bytes, Callable[[bytes], str]] = {
    b"avcC": lambda config: config[1:4].hex().upper(),
    b"hvcC": _hevc_string,
    b"av1C": _av1_string,
}


def encoder_colour(encoder: Encoder, colour: Colour) -> Colour:
    """The colour that the encoded stream has for a source of `colour`."""
    if encoder.pix_fmt == "rgb24":  # the same primaries and transfer, and no conversion at all
        return replace(colour, matrix="rgb", full_range=True)
    return yuv_colour(colour)


def add_encoder(
    container: OutputContainer,
    encoder: Encoder,
    crf: int | None,
    size: tuple[int, int],
    frame_rate: Fraction,
    time_base: Fraction,
    colour: Colour,
    sample_aspect_ratio: Fraction = Fraction(1),
) -> VideoStream:
    """A stream of `container`, (height, width) in px; every colour tag is written."""
    options = dict(encoder.options)
    if encoder.crf is not None:
        options["crf"] = str(encoder.crf if crf is None else crf)
    stream = container.add_stream(encoder.library, rate=frame_rate, options=options)
    assert isinstance(stream, av.VideoStream)
    stream.height, stream.width = size
    stream.pix_fmt = encoder.pix_fmt
    stream.time_base = time_base
    context, tags = stream.codec_context, tag_numbers(colour)
    context.time_base = time_base
    context.gop_size = _NEVER
    if encoder.tag is not None:
        context.codec_tag = encoder.tag
    context.sample_aspect_ratio = sample_aspect_ratio
    context.colorspace, context.color_range = tags.matrix, tags.range
    context.color_primaries, context.color_trc = tags.primaries, tags.transfer
    return stream
