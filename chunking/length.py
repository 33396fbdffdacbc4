"""How long a film is: from its first picture to the end of its last one.

What a container tells is the length of its longest stream, and in Matroska counted from zero,
however late the film begins. So the last pictures' own times are looked at.
"""

from contextlib import suppress

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from chunking.damage import stated_end
from chunking.opening import Source

_FAR_S = 10**6  # behind the end of any film, and few enough ticks for any clock
_REORDERED_S = 2  # so much earlier lies all that may be shown after the last packet


def pictures_s(
    source: Source,
    container: InputContainer,
    stream: VideoStream,
    start_s: float,
    interval_s: float,
) -> float | None:
    """Seconds from `start_s`, where the first picture is shown; None where that is not to be found.

    A last picture that has no length lasts `interval_s`. `container` is read to its end.
    """
    end_s = _end_s(container, stream, _FAR_S, interval_s)
    # Some formats seek to any packet and not to a key frame, some find nothing so far away.
    again_s = start_s if end_s is None else end_s - _REORDERED_S
    ends_s = [end_s, _end_s(container, stream, again_s, interval_s)]
    if (stated := stated_end(source, container, stream)).whole_file:
        ends_s.append(stated.seconds)  # the last picture may last
    length_s = max(s for s in (*ends_s, start_s) if s is not None) - start_s
    return round(length_s, 6) or None  # to a microsecond, as FFmpeg itself tells lengths


def _end_s(
    container: InputContainer, stream: VideoStream, from_s: float, interval_s: float
) -> float | None:
    """Where the last of the pictures ends that are read behind a seek."""
    base, shown_s = stream.time_base or 0, list[tuple[float, float]]()
    # Of what is damaged, what can be read counts.
    with suppress(av.FFmpegError):
        container.seek(round(from_s / base), stream=stream)
        for packet in container.demux(stream):
            if packet.pts is not None and packet.size:
                lasts_s = float((packet.duration or 0) * base) or interval_s
                shown_s.append((float(packet.pts * base), lasts_s))
    # Of the last picture alone: MP4 has lengths by the order of decoding, and a pause is another's.
    return sum(max(shown_s)) if shown_s else None
