"""The encoders of the LR stream: all that is known of a codec, by command line and manifest too."""

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction

import av
from av.container import OutputContainer
from av.video.stream import VideoStream

from chunking.colour import Colour, tag_numbers, yuv_colour
from chunking.hdr import NO_HDR, Hdr

# SVT-AV1 writes its banner to stderr past FFmpeg's log; 1 is "errors only".
os.environ.setdefault("SVT_LOG", "1")

_NEVER = 1_000_000  # frames between key frames: a segment begins with one, the rest is free
_MAX_RATE = Fraction(240)  # that SVT-AV1 takes; times are told apart from it
_TINY_PX = 64  # side of a block; frames that are smaller ask for `Encoder.tiny`
_NO_SEI = "filter_units=remove_types=6"


@dataclass(frozen=True)
class Encoder:
    """An FFmpeg encoder; higher crf is smaller and worse. `crf` None: lossless, none to set.

    `params` is FFmpeg's name for the library's own options ("key=value:key=value"), `own` are the
    names that FFmpeg itself takes before those. `filter`: FFmpeg's, through which the packets go.
    `tiny`: what frames with a side below 64 px need, whatever the options say. `hdr`: the library's
    names of a mastering display and of light levels, where it writes them into the stream as well
    as the container has them; `hdr_integers`: how `Hdr.display` tells it the first.
    """

    library: str
    pix_fmt: str
    tag: str | None
    crf: int | None
    options: Mapping[str, str] = field(default_factory=dict)
    params: str | None = None
    own: tuple[str, ...] = ("crf", "preset", "tune", "profile")
    filter: str | None = None
    tiny: Mapping[str, str] = field(default_factory=dict)
    hdr: tuple[str, str] | None = None
    hdr_integers: bool = True

    def hdr_options(self, hdr: Hdr) -> Iterator[tuple[str, str]]:
        """What tells the library a film's HDR metadata."""
        if self.hdr and hdr.points:
            yield self.hdr[0], hdr.display(self.hdr_integers)
        if self.hdr and hdr.light:
            yield self.hdr[1], ",".join(map(str, hdr.light))

    def put(self, options: dict[str, str], key: str, value: str) -> None:
        """Adds an option to `options`, where it belongs."""
        if key in self.own or self.params is None:
            options[key] = value
        else:
            before = options.get(self.params)
            options[self.params] = f"{before}:{key}={value}" if before else f"{key}={value}"


# x264's macroblock tree is computed by AVX-512 where there is some, and then now and then an encode
# of the same frames gives other bytes, on one thread too (x264 of PyAV 18 at 64x48 px on a busy
# machine: 48 of 1,528 encodes). cpu-independent takes its plain C instead: none of 1,523, and the
# same bytes on every CPU. Numbers of threads are fixed where bytes depend on them.
# x264 writes its options into every segment, 700 bytes as SEI (type 6), x265 into the init segment
# (info): both are left out.
# x265 without open GOPs, so that each segment decodes alone, and without its pool of threads, whose
# lookahead races (Multicorewareinc/x265, issue 684): beside other work one of some hundred encodes
# ended the process in its list of pictures. Its tree of macroblocks writes beyond its memory at
# 48x36 px, which ends it as well. SVT-AV1 waits for itself for ever where one side
# is of 16 to 24 px and the other above 64, unless it has one thread (lp). FFmpeg rounds its crf to
# whole numbers, the library's own option has quarters.
ENCODERS: dict[str, Encoder] = {
    "av1": Encoder(
        "libsvtav1", "yuv420p", "av01", 24, {"preset": "6"},
        params="svtav1-params", own=("preset",), tiny={"lp": "1"},
        hdr=("mastering-display", "content-light"), hdr_integers=False,
    ),
    "h264": Encoder(
        "libx264", "yuv420p", "avc1", 18,
        {"preset": "medium", "threads": "4", "x264-params": "cpu-independent=1"},
        params="x264-params", filter=_NO_SEI,
    ),
    "h265": Encoder(
        "libx265", "yuv420p", "hvc1", 20,
        {
            "preset": "medium",
            "x265-params": "open-gop=0:frame-threads=2:pools=none:info=0:log-level=none",
        },
        params="x265-params", tiny={"cutree": "0"}, hdr=("master-display", "max-cll"),
    ),
    "lossless": Encoder(
        "libx264rgb", "rgb24", "avc1", None, {"preset": "medium", "qp": "0", "bf": "0"},
        params="x264-params", filter=_NO_SEI,
    ),
}  # fmt: skip


# stderr, FFmpeg's log and the scheduling belong to all threads: one at a time may change them.
_OPENING = threading.RLock()

GRAIN_OPTS = "film-grain={}:film-grain-denoise=1"
"""SVT-AV1 takes grain of that strength off, codes what is left, and tells decoders of it."""


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


def with_options(encoder: Encoder, codec_opts: str) -> Encoder:
    """`encoder` with options of the user's, "key=value:key=value"; each as the library calls it.

    Raises ValueError, in one line, for what the encoder does not take.
    """
    options = dict(encoder.options)
    for pair in filter(None, codec_opts.split(":")):
        key, _, value = pair.partition("=")
        if not key or not value:
            raise ValueError(f"{pair} is not key=value")
        if key == "crf":
            raise ValueError(f"{pair}: the quality is an option of its own, --lr-crf")
        encoder.put(options, key, value)
    changed = replace(encoder, options=options)
    if codec_opts:
        _try_to_open(changed)
    return changed


def _try_to_open(encoder: Encoder) -> None:
    """Raises ValueError where the library refuses an option, or only warns that it knows none."""
    with same_scheduling(), _no_stderr(), _whole_log() as said:
        context = av.VideoCodecContext.create(encoder.library, "w")
        assert isinstance(context, av.VideoCodecContext)
        context.width, context.height, context.pix_fmt = 64, 64, encoder.pix_fmt
        context.framerate, context.time_base = Fraction(30), Fraction(1, 30)
        context.options = dict(encoder.options)
        try:
            context.open()
        except (av.FFmpegError, ValueError) as error:
            reason = said[0][2].strip() if said else str(error)
            raise ValueError(f"{encoder.library}: {reason}") from None
    if said:
        raise ValueError(f"{encoder.library}: {said[0][2].strip()}")


@contextmanager
def _whole_log() -> Iterator[list[tuple[int, str, str]]]:
    """Every warning of FFmpeg's, of all threads: (level, part, text)."""
    level, skipping = av.logging.get_level(), av.logging.get_skip_repeated()
    av.logging.set_level(av.logging.WARNING)
    av.logging.set_skip_repeated(False)  # or a second refusal would go unheard
    try:
        with av.logging.Capture(local=False) as said:
            yield said
    finally:
        av.logging.set_level(level)
        av.logging.set_skip_repeated(skipping)


@contextmanager
def _no_stderr() -> Iterator[None]:
    """Libraries print past FFmpeg's log; what they say is said in one line by us."""
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def encoder_colour(encoder: Encoder, colour: Colour) -> Colour:
    """The colour that the encoded stream has for a source of `colour`."""
    if encoder.pix_fmt == "rgb24":  # the same primaries and transfer, and no conversion at all
        return replace(colour, matrix="rgb", full_range=True)
    return yuv_colour(colour)


@contextmanager
def same_scheduling() -> Iterator[None]:
    """Whatever the block does, all threads are scheduled afterwards as before, new ones as this;
    one block at a time.

    Opened by root, SVT-AV1 makes the thread that calls it, and the forty of its own, real-time
    ones (SCHED_FIFO 99): they, and all that follows in this thread, training above all, would
    keep every other program off its core.
    """
    with _OPENING:
        before, own = _scheduling(), (os.sched_getscheduler(0), os.sched_getparam(0))
        try:
            yield
        finally:
            for thread, (policy, _) in _scheduling().items():
                wanted = before.get(thread, own)
                if policy != wanted[0]:
                    with suppress(ProcessLookupError):  # it has ended
                        os.sched_setscheduler(thread, *wanted)


def _scheduling() -> dict[int, tuple[int, os.sched_param]]:
    """Of each thread of this process: its policy and parameters."""
    found = {}
    for thread in map(int, os.listdir("/proc/self/task")):
        with suppress(ProcessLookupError):
            found[thread] = os.sched_getscheduler(thread), os.sched_getparam(thread)
    return found


def add_encoder(
    container: OutputContainer,
    encoder: Encoder,
    crf: float | None,
    size: tuple[int, int],
    frame_rate: Fraction,
    time_base: Fraction,
    colour: Colour,
    sample_aspect_ratio: Fraction = Fraction(1),
    hdr: Hdr = NO_HDR,
) -> VideoStream:
    """A stream of `container`, (height, width) in px; every colour tag is written."""
    options = dict(encoder.options)
    if encoder.crf is not None:
        encoder.put(options, "crf", str(encoder.crf if crf is None else crf))
    if min(size) < _TINY_PX:
        for key, value in encoder.tiny.items():
            encoder.put(options, key, value)
    for key, value in encoder.hdr_options(hdr):
        encoder.put(options, key, value)
    stream = container.add_stream(encoder.library, rate=min(frame_rate, _MAX_RATE), options=options)
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
