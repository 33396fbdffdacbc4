"""XPSNR by FFmpeg's filter, which PyAV brings along.

PSNR whose squared errors are weighted, block by block, by how visible they are: less where the
picture is busy or moves (Helmrich et al., "XPSNR: a low-complexity extension of the perceptually
weighted peak signal-to-noise ratio", ICASSP 2020).
"""

from fractions import Fraction

import av
import av.filter

_NAME = "lavfi.xpsnr.xpsnr.y"
# The filter's blocks are 4 round(32 sqrt(pixels / (3840 x 2160))) px wide; it divides by that.
_MIN_PIXELS = 2025


class XpsnrGraph:
    """Compares frames as they come: `add` pairs of one size and format, then `finish`.

    `frame_rate` decides from how many frames the filter tells motion. Pictures below 2,025 pixels
    have no XPSNR.
    """

    def __init__(self, frame_rate: Fraction) -> None:
        self._rate = frame_rate
        self._errors: list[float] = []
        self._graph: av.filter.Graph | None = None

    def add(self, ours: av.VideoFrame, original: av.VideoFrame) -> None:
        """Two frames to compare."""
        if ours.width * ours.height < _MIN_PIXELS:
            return
        if self._graph is None:
            self._open(ours)
        for source, frame in zip(self._sources, (ours, original), strict=True):
            frame.pts, frame.time_base = self._count, 1 / self._rate
            source.push(frame)
        self._count += 1
        self._pull()

    def finish(self) -> dict[str, list[float]]:
        """The root of each frame's weighted error, of its luma, in shares of the peak.

        FFmpeg takes the mean of the roots over a film, not of the squares.
        """
        if self._graph is not None:
            for source in self._sources:
                source.push(None)
            self._pull()
        return {"xpsnr_y": self._errors}

    def _open(self, frame: av.VideoFrame) -> None:
        graph = av.filter.Graph()
        size = f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}"
        described = f"{size}:time_base={1 / self._rate}:frame_rate={self._rate}"
        compare, self._sink = graph.add("xpsnr"), graph.add("buffersink")
        self._sources = [graph.add("buffer", described) for _ in range(2)]
        for pad, source in enumerate(self._sources):
            source.link_to(compare, 0, pad)
        compare.link_to(self._sink)
        graph.configure()
        self._graph, self._count = graph, 0

    def _pull(self) -> None:
        while True:
            try:
                frame = self._sink.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            # "inf" where the frames are equal, of which the root is 0.
            self._errors.append(10 ** (-float(frame.metadata[_NAME]) / 20))


def has_xpsnr() -> bool:
    """Whether PyAV's FFmpeg has the filter (it came with FFmpeg 7.1)."""
    return "xpsnr" in av.filter.filters_available
