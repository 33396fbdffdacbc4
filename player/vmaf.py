"""VMAF and VMAF-NEG by an FFmpeg that has libvmaf: which one, and frames through it.

    ours, original, ours, original ... --stdin--> ffmpeg: even | odd frames --libvmaf--> log.json

Both films go through one pipe, a frame of each in turn: two pipes could wait for each other.
(Li et al., "Toward a practical perceptual video quality metric", Netflix 2016; NEG, "no
enhancement gain", does not reward sharpening: Li et al., "VMAF: the journey continues", 2020.)
"""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np

MODELS = {"vmaf": "vmaf_v0.6.1", "vmaf_neg": "vmaf_v0.6.1neg"}
"""By the name of the metric: models for HD on a television, built into libvmaf."""

REMEDY = "pip install 'pocketsr[vmaf]'"
_LOG = "log.json"
_MIN_SIDE_PX = 17  # libvmaf halves pictures four times, and dies of smaller ones


class MissingToolError(Exception):
    """What was asked for needs a program that is not here; the message tells how to get it."""

    exit_code = 2


class VmafError(RuntimeError):
    """FFmpeg ended with an error; the message is its own."""

    exit_code = 1


class VmafProcess:
    """One FFmpeg that compares frames as they come; `metrics` are names of `MODELS`.

    `add` frames of one size and format (yuv420p or yuv444p), then `finish`. A `with` block ends
    the process however it is left. Pictures of 16 px or less on a side have no VMAF. Raises
    VmafError where FFmpeg does not do its work.
    """

    def __init__(self, ffmpeg: Path, metrics: Sequence[str], threads: int = 1) -> None:
        self._ffmpeg, self._metrics, self._threads = ffmpeg, metrics, threads
        self._folder = tempfile.TemporaryDirectory(prefix="pocketsr-vmaf-")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()

    def add(self, ours: av.VideoFrame, original: av.VideoFrame) -> None:
        """Two frames to compare; waits while FFmpeg has enough to do."""
        if min(ours.width, ours.height) < _MIN_SIDE_PX:
            return
        process = self._process = self._process or self._start(ours)
        assert process.stdin is not None
        try:
            for frame in (ours, original):
                process.stdin.write(np.ascontiguousarray(frame.to_ndarray()).data)
        except BrokenPipeError as error:
            raise VmafError(self._complaint()) from error

    def finish(self) -> dict[str, list[float]]:
        """By metric 100 - VMAF of each frame, an error as the others are."""
        if self._process is None:
            return {name: [] for name in self._metrics}
        self._process.communicate()
        if self._process.returncode:
            raise VmafError(self._complaint())
        frames = json.loads((Path(self._folder.name) / _LOG).read_bytes())["frames"]
        return {name: [100 - f["metrics"][name] for f in frames] for name in self._metrics}

    def _start(self, frame: av.VideoFrame) -> subprocess.Popen[bytes]:
        # FFmpeg's filter language: models parted by |, their options by an escaped colon.
        models = "|".join(rf"version={MODELS[name]}\:name={name}" for name in self._metrics)
        graph = (
            r"[0]split[a][b];[a]select=not(mod(n\,2)),setpts=N[ours];"
            r"[b]select=mod(n\,2),setpts=N[original];"
            f"[ours][original]libvmaf=model='{models}':log_fmt=json:log_path={_LOG}"
            f":n_threads={self._threads}"
        )
        raw = ["-f", "rawvideo", "-pix_fmt", frame.format.name]
        size = ["-video_size", f"{frame.width}x{frame.height}"]
        quiet = ["-nostdin", "-hide_banner", "-loglevel", "error"]
        with self._said.open("wb") as said:
            return subprocess.Popen(
                [self._ffmpeg, *quiet, *raw, *size, "-i", "pipe:0", "-lavfi", graph,
                 "-f", "null", "-"],
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said,
                # The log by a bare name: a path would have to be escaped for the filter.
                cwd=self._folder.name,
            )  # fmt: skip

    @property
    def _said(self) -> Path:
        # A file, for a pipe that nobody reads while frames are written could fill up.
        return Path(self._folder.name) / "said.txt"

    def _complaint(self) -> str:
        assert self._process is not None
        self._process.wait()
        lines = self._said.read_text(errors="replace").strip().splitlines()
        return f"{self._ffmpeg} cannot measure VMAF: {lines[-1] if lines else 'it was ended'}"


@lru_cache
def find_vmaf() -> Path | None:
    """The FFmpeg with libvmaf and its models: the wheel imageio-ffmpeg's, or that of the PATH."""
    return next((path for path in _candidates() if _measures(path)), None)


def need_vmaf() -> Path:
    """As `find_vmaf`; raises MissingToolError, with the command that installs it."""
    if (ffmpeg := find_vmaf()) is None:
        raise MissingToolError(f"VMAF needs an FFmpeg with libvmaf: {REMEDY}")
    return ffmpeg


def _candidates() -> Iterator[Path]:
    try:
        import imageio_ffmpeg

        yield Path(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):  # a wheel without a program for this system
        pass
    if found := shutil.which("ffmpeg"):
        yield Path(found)


def _measures(ffmpeg: Path) -> bool:
    """By trying: a build may lack the filter, or the models."""
    grey = av.VideoFrame.from_ndarray(np.full((96, 64), 128, np.uint8), format="yuv420p")
    try:
        with VmafProcess(ffmpeg, list(MODELS)) as process:
            process.add(grey, grey)
            return all(process.finish().values())
    except (VmafError, OSError):
        return False
