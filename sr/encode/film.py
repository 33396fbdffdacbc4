"""The film of a job: its frames beside those of the LR stream, decoded once where memory allows.

    film ──decode──► HR ──downscale──► encoder ──► LR stream ──decode──► LR
                      └────────── kept ──────────► pairs ◄────── kept ────┘

The first pass feeds the encoder and keeps what later steps ask for: all of a short film; of a long
one the frames to learn from, and then the routes, which look at every frame, decode it once more.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from functools import cached_property

import numpy as np

from chunking.grid import Grid
from chunking.lr import BICUBIC, downscale, lr_size
from chunking.parts import Warn
from chunking.probe import VideoInfo
from chunking.stream import read_stream
from chunking.tracks import Track
from chunking.video import Frame, read_frames
from player.package.scale import Scale
from player.package.streams import StreamFiles
from sr.encode.moved_lr import MovedLr
from sr.encode.options import EncodeOptions
from sr.progress import Progress
from sr.shrink.content_groups import ContentGroups, groups_from_boxes, groups_from_masks
from sr.training.data import FramePair, Image, TrainingSet, training_set

MAX_KEPT_BYTES = 1_500_000_000  # of HR frames; a training set copies as much again


class Film:
    """A film on its way into a package. `stream` is there once its step is done."""

    def __init__(
        self, options: EncodeOptions, info: VideoInfo, tracks: Sequence[Track] = ()
    ) -> None:
        self.source = options.film
        self.info, self.tracks = info, tracks
        self.stream: StreamFiles | None = None
        self._options = options
        self._hr: dict[int, Image] = {}  # of the first pass, until the LR frame is there too
        self._pairs: dict[int, FramePair] = {}
        self._masks: dict[int, Image] = {}

    @property
    def scale(self) -> Scale:
        return self._options.stream.scale

    @property
    def grid(self) -> Grid:
        """The patch grid over the LR frame."""
        return Grid(*lr_size(self.info.height, self.info.width, self.scale))

    def first_pass(self, progress: Progress, warn: Warn, lose: Warn) -> Iterator[Frame]:
        """All frames in order, as the film has them. What is lost of them is told to `lose`."""
        limit, hint = self._options.stream.frames, self.info.frames_hint or 0
        # The hint may be wrong: what was kept for nothing then is decoded again later.
        wanted = self._to_keep(min(hint, limit or hint)) if hint else range(0)
        for frame in read_frames(self.source, limit, warn, lose):
            if frame.index in wanted:
                self._hr[frame.index] = frame.rgb
            yield frame
            progress.at(frame.index + 1)

    def lr_frames(self, progress: Progress, warn: Warn, lose: Warn) -> Iterator[Frame]:
        """The first pass, as the frames to encode."""
        asked = self._options.stream
        move = asked.through and MovedLr(asked.through, self._options.training.loss_space)
        for frame in self.first_pass(progress, warn, lose):
            lr = downscale(frame.rgb, self.scale, asked.lr or BICUBIC)
            if move:
                lr = move(lr, frame.rgb)
            # At scale 1 the encoder takes the film's own planes.
            own = frame.decoded if lr.shape == frame.rgb.shape else None
            yield Frame(lr, frame.pts, frame.index, own, frame.duration)

    @property
    def frames(self) -> int:
        assert self.stream is not None, "the LR stream is made first"
        return self.stream.frames

    @cached_property
    def learned(self) -> list[int]:
        """The numbers of the frames to learn from."""
        return self._learned_of(self.frames)

    def _learned_of(self, frames: int) -> list[int]:
        """Evenly spaced, bounded in number and memory."""
        most = min(self._options.training.bounds.training_frames, self._affordable)
        count = max(1, min(frames, most))
        return sorted({round(i) for i in np.linspace(0, frames - 1, count)})

    @property
    def _affordable(self) -> int:
        return MAX_KEPT_BYTES // (3 * self.info.width * self.info.height)

    def _to_keep(self, frames: int) -> Sequence[int] | set[int]:
        """Of a film of so many frames: all, or those to learn from."""
        return range(frames) if frames <= self._affordable else set(self._learned_of(frames))

    def pairs(self) -> Generator[FramePair, None, None]:
        """Every LR frame as the phone decodes it with its HR frame, in order."""
        if len(self._pairs) == self.frames:
            yield from (self._pairs[i] for i in range(self.frames))
            return
        wanted = self._to_keep(self.frames)
        # Both decoders hold files open: closed even where the caller stops half-way.
        films, streamed = self._hr_frames(), self.lr_images()
        with closing(films), closing(streamed):
            for i, (hr, lr) in enumerate(zip(films, streamed, strict=True)):
                pair = FramePair(lr, hr)
                if i in wanted:
                    self._pairs[i] = pair
                    self._hr.pop(i, None)
                yield pair

    def _hr_frames(self) -> Generator[Image, None, None]:
        if len(self._hr) == self.frames:
            yield from (self._hr[i] for i in range(self.frames))
        else:
            limit = self._options.stream.frames
            yield from (frame.rgb for frame in read_frames(self.source, limit))

    def lr_images(self) -> Generator[Image, None, None]:
        """The frames of the stream, as the phone decodes them."""
        assert self.stream is not None
        segments = [segment.path for segment in self.stream.segments]
        yield from (frame.rgb for frame in read_stream(self.stream.init, segments))

    @cached_property
    def training(self) -> list[FramePair]:
        """The frames to learn from, in memory."""
        wanted = set(self.learned)
        if wanted <= self._hr.keys() and len(self._hr) < self.frames:
            for i, lr in enumerate(self.lr_images()):  # of a long film: no HR is decoded again
                if i in wanted:
                    self._pairs[i] = FramePair(lr, self._hr.pop(i))
        elif not wanted <= self._pairs.keys():
            for _ in self.pairs():
                pass
        return [self._pairs[i] for i in self.learned]

    def training_set(self, margin_px: int, units: int) -> TrainingSet:
        """`training_set` of the frames to learn from."""
        return training_set(self.training, self.scale, margin_px, units)

    def content(self, cell_px: tuple[int, int], frames: Sequence[int]) -> ContentGroups:
        """The content groups of `--groups` at cells of the LR frame. Raises InputError."""
        groups = self._options.routes.groups
        assert groups is not None
        lr_size = self.grid.height, self.grid.width
        if groups.is_dir():
            return groups_from_masks(groups, lr_size, cell_px, frames, self._masks)
        return groups_from_boxes(groups, lr_size, cell_px, frames)
