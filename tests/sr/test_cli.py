"""The command line: exit codes, one clear line, nothing lost."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import av
import numpy as np
import pytest

from sr import cli
from tests.sr.conftest import FILM_SIZE, drifting_pictures, write_film

POCKETSR = [sys.executable, "-c", "from sr.cli import main; main()"]
FAST = ("--scale", "2", "--steps", "3", "--lr-codec", "lossless", "--threads", "1")


def pocketsr(*arguments: object, **options) -> subprocess.CompletedProcess[str]:
    """A command; in a process of its own where it has options: each loads torch for seconds."""
    if options:
        command = [*POCKETSR, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, **options)
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            code = cli.pocketsr.main([*map(str, arguments)], standalone_mode=False) or 0
        except (Exception, SystemExit) as error:
            code = cli.explain(error)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def refused(code: int, *arguments: object, **options) -> str:
    """The one line on stderr of a command that must fail with `code`."""
    done = pocketsr(*arguments, **options)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if not line.startswith("warning")]
    assert lines, done
    return lines[-1]


def test_help_answers_at_once_without_the_heavy_libraries():
    code = "import sys, sr.cli; sys.argv = ['pocketsr', '--help']\n"
    code += "try: sr.cli.main()\nexcept SystemExit as e: print(e.code, 'torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "0 False"
    heavy = [m for m in ("numpy", "torch", "tvm", "av", "cv2", "rich") if f"| {m}\n" in done.stderr]
    assert heavy == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("encode", "--help"), 0),
        (("encode", "gone.mp4", "-o", "p"), 3),
        (("encode", "gone.mp4", "-o", "p", "--scale", "2", "--target-kbps", "300"), 2),
    ],
)
def test_an_encode_that_will_not_be_is_refused_before_torch_is_loaded(tmp_path, arguments, code):
    program = "import sys, sr.cli\ntry: sr.cli.main()\n"
    program += "except SystemExit as e: print(e.code, 'torch' in sys.modules)"
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == f"{code} False"
    assert code == 0 or len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("play", "gone"),
            "pocketsr: Invalid value for 'PACKAGE': Directory 'gone' does not exist.",
        ),
        (("encode", "a.mp4"), "pocketsr: Missing option '-o' / '--out'."),
        (("encode", "a.mp4", "-o", "p", "--scael", "2"), "pocketsr: No such option '--scael'"),
        (("verfy", "p"), "pocketsr: No such command 'verfy'."),
    ],
)
def test_a_command_that_is_not_one_is_told_in_one_line(arguments, said):
    done = pocketsr(*arguments)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(said) and done.stderr.endswith(" --help)\n")


def test_every_command_explains_itself():
    from sr.cli import COMMANDS

    for name in COMMANDS:
        done = pocketsr(name, "--help")
        assert done.returncode == 0 and "Usage" in done.stdout, name


def test_missing_file(tmp_path):
    assert "gone.mp4" in refused(3, "probe", tmp_path / "gone.mp4")
    assert "gone.mp4" in refused(3, "encode", tmp_path / "gone.mp4", "-o", tmp_path / "p")
    assert not (tmp_path / "p").exists()


def test_a_directory_and_a_text_file(tmp_path):
    (tmp_path / "note.mp4").write_text("no film " * 100)
    assert "directory" in refused(3, "encode", tmp_path, "-o", tmp_path / "p")
    assert "note.mp4" in refused(3, "encode", tmp_path / "note.mp4", "-o", tmp_path / "p")


def test_audio_alone(tmp_path):
    with av.open(str(tmp_path / "song.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), "fltp", "mono")
        frame.sample_rate = 8000
        container.mux([*stream.encode(frame), *stream.encode(None)])
    assert "video" in refused(3, "encode", tmp_path / "song.mp4", "-o", tmp_path / "p")


def test_a_scale_that_makes_no_sense(tmp_path):
    film = write_film(tmp_path / "tiny.mp4", drifting_pictures(2, 40, 40))
    assert "--scale" in refused(3, "encode", film, "-o", tmp_path / "p", "--scale", "4")
    assert not (tmp_path / "p").exists()


def test_networks_that_are_not_of_the_family(film, tmp_path):
    to = ("-o", tmp_path / "p")
    assert "'1.7' is not one of" in refused(2, "encode", film, *to, "--scale", "1.7")
    assert "--units" in refused(2, "encode", film, *to, "--units", "4")
    message = refused(2, "encode", film, *to, "--scale", "1.5", "--units", "1")
    assert message.endswith("use units of 2")
    lossy = ["--method", "nas", "--max-loss-db", "0.2"]
    assert "nas plans no routes" in refused(2, "encode", film, *to, "--scale", "4", *lossy)
    message = refused(2, "encode", film, *to, "--scale", "4", "--method", "stdo", "--chunks", "32")
    assert "16 networks at most" in message
    assert not (tmp_path / "p").exists()


def test_a_plain_encode_is_probed_made_verified_measured_and_played(film, tmp_path):
    """At the two scales that have no generic network; no engine is asked for."""
    probed = json.loads(pocketsr("probe", film, "--json").stdout)
    assert probed["lr_sizes"] == {
        "x1": "192x160", "x1.5": "128x108", "x2": "96x80", "x3": "64x54", "x4": "48x40"
    }  # fmt: skip
    for scale in ("1", "1.5"):
        package = tmp_path / scale
        asked = ("--method", "plain", "--lr-codec", "h264", "--scale", scale)
        report = json.loads(pocketsr("encode", film, "-o", package, *asked, "--json").stdout)
        assert report["paths"] == {"bicubic": 1.0, "easy": 0.0, "hard": 0.0}
        assert (report["weights_bytes"], report["steps"], report["units"]) == ([], 0, None)
        assert json.loads(pocketsr("verify", package, "--json").stdout)["ok"]
        out = tmp_path / f"{scale}.mkv"
        done = pocketsr("play", package, "--out", out, "--json")
        assert json.loads(done.stdout)["frames"] == 12, done.stderr
        assert "H.264 at CRF 16; --out-crf lossless keeps every pixel" in done.stderr
        assert out.stat().st_size > 0
        measured = pocketsr("measure", package, "--reference", film, "--json")
        result = json.loads(measured.stdout)
        assert (result["scale"], result["method"]) == (float(scale), "plain")
        assert result["generic"] == result["bicubic"]
        assert result["psnr"]["rgb"] == pytest.approx(result["bicubic"]["psnr_rgb"])
        assert ("warning" in measured.stderr) == (scale != "1"), "the LR video needs no engine"
    other = write_film(tmp_path / "other.mp4", drifting_pictures(12, *FILM_SIZE)[::-1])
    said = pocketsr("measure", tmp_path / "1", "--reference", other).stderr
    assert f"{other} is not the file that {tmp_path / '1'} was made of" in said
    for job in ("{}", "[]", "no json", None):  # signed by nobody: it may be anything, or a pipe
        (tmp_path / "1/job.json").unlink()
        (tmp_path / "1/job.json").write_text(job) if job else os.mkfifo(tmp_path / "1/job.json")
        measured = pocketsr("measure", tmp_path / "1", "--reference", other)
        assert measured.returncode == 0 and "is not the file" not in measured.stderr


@pytest.fixture
def film_in_two_languages(tmp_path) -> Path:
    """English sound, by a codec that nobody knows, and German; subtitles that are pictures."""
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=25)
        video.height, video.width, video.pix_fmt = 64, 96, "yuv420p"
        sounds = [out.add_stream(codec, rate=48000, layout="mono") for codec in ("mp2", "aac")]
        for stream, language in zip(sounds, ("eng", "deu"), strict=True):
            stream.metadata["language"], stream.disposition = language, 0
        texts, packet = out.add_mux_stream("dvd_subtitle"), av.Packet(b"\0\x04\0\x02")
        for picture in drifting_pictures(5, 64, 96):
            out.mux(video.encode(av.VideoFrame.from_ndarray(picture)))
        out.mux(video.encode(None))
        packet.stream, packet.pts, packet.dts = texts, 0, 0
        out.mux(packet)
        for stream in sounds:
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 24000), "f4"), "fltp", "mono")
            if stream.codec_context.name == "mp2":
                frame = av.AudioFrame.from_ndarray(np.zeros((1, 24000), "i2"), "s16", "mono")
            frame.sample_rate, frame.pts = 48000, 0
            out.mux([*stream.encode(frame), *stream.encode(None)])
    path.write_bytes(path.read_bytes().replace(b"A_MPEG/L2", b"A_MPEG/L9"))
    return path


def test_what_is_lost_is_in_the_report_and_the_exit_code_of_strict(film_in_two_languages, tmp_path):
    plain = ("--method", "plain", "--scale", "2", "--lr-codec", "h264", "--json")
    encode = ("encode", film_in_two_languages, "-o", tmp_path / "p", *plain)
    done = pocketsr(*encode)
    assert done.returncode == 0, done.stderr
    lost = json.loads(done.stdout)["lost"]
    assert [line.split(":")[0] for line in lost] == ["audio 1", "subtitles 1"]
    for line in lost:
        assert done.stderr.count(line.split(": ")[1]) == 1, "said once"
    strict = pocketsr(*encode, "--strict")
    assert strict.returncode == 4 and json.loads(strict.stdout)["lost"] == lost
    last = strict.stderr.splitlines()[-1]
    assert last.startswith("pocketsr: the package is made, without all of the film: audio 1")
    # The same command on a package that is done says what it said of the film.
    warnings = [line for line in done.stderr.splitlines() if " is dropped: " in line]
    assert len(warnings) == 2 and strict.stderr.splitlines()[:-1] == warnings
    # Sound that nobody asked for is not lost.
    done = pocketsr(*encode, "--audio", "deu", "--restart")
    assert json.loads(done.stdout)["lost"] == lost[1:]


def test_probe_tells_what_becomes_of_each_stream(film_in_two_languages):
    done = pocketsr("probe", film_in_two_languages, "--json")
    rows = json.loads(done.stdout)["streams"]
    assert [(r["kind"], r["language"], r["becomes"]) for r in rows] == [
        ("video", None, "encoded"), ("audio", "eng", "dropped"), ("audio", "deu", "copied"),
        ("subtitles", None, "dropped"),
    ]  # fmt: skip
    assert "no decoder" in rows[1]["reason"]
    lines = pocketsr("probe", film_in_two_languages).stdout.splitlines()
    assert "audio 2      aac mono deu: copied" in lines


def test_streams_that_are_not_there(film_in_two_languages, film, tmp_path):
    to = ("-o", tmp_path / "p")
    message = refused(2, "encode", film_in_two_languages, *to, "--audio", "fra")
    assert message.endswith("no audio fra: there is 1 (eng), 2 (deu)")
    assert "there is none at all" in refused(2, "encode", film, *to, "--audio", "1")
    assert "has no video 2: there is 1" in refused(2, "probe", film, "--video", "2")
    assert not (tmp_path / "p").exists()


def test_usage_errors(film, tmp_path):
    refused(2, "encode", film)
    refused(2, "encode", film, "-o", tmp_path / "p", "--scale", "5")
    refused(2, "encode", film, "-o", tmp_path / "p", "--preset", "quick")
    refused(2, "paint")


def test_output_equal_to_input_or_a_file(film, tmp_path):
    before = film.read_bytes()
    assert "is a file" in refused(2, "encode", film, "-o", film)
    assert film.read_bytes() == before


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc, which nobody may write")
def test_output_not_writable(film):
    assert "choose" in refused(2, "encode", film, "-o", "/proc/pocketsr", *FAST)


def test_one_frame_odd_sizes_and_truncation_encode_with_a_word(tmp_path):
    one = write_film(tmp_path / "one.mp4", drifting_pictures(1, 71, 83))
    done = pocketsr("encode", one, "-o", tmp_path / "p1", *FAST, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["frames"] == 1
    whole = write_film(tmp_path / "long.mkv", drifting_pictures(40, 96, 96))
    (tmp_path / "cut.mkv").write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    done = pocketsr("encode", tmp_path / "cut.mkv", "-o", tmp_path / "p2", *FAST, "--json")
    assert done.returncode == 0, done.stderr
    assert 0 < json.loads(done.stdout)["frames"] < 40
    assert "warning" in done.stderr


@dataclass(frozen=True)
class Encoded:
    """What one encode has left behind, and where."""

    done: subprocess.CompletedProcess[str]
    package: Path
    home: Path


@pytest.fixture(scope="module")
def encoded(tmp_path_factory) -> Encoded:
    """An encode with --events, for all tests that only look at it; who changes it takes a copy."""
    folder = tmp_path_factory.mktemp("encoded")
    film = write_film(folder / "film.mp4", drifting_pictures(12, *FILM_SIZE))
    home = {**os.environ, "POCKETSR_HOME": str(folder / "home")}
    done = pocketsr("encode", film, "-o", folder / "p", *FAST, "--events", env=home)
    assert done.returncode == 0, done.stderr
    return Encoded(done, folder / "p", folder / "home")


def test_events_are_json_lines_and_end_with_done(encoded):
    events = [json.loads(line) for line in encoded.done.stdout.splitlines()]
    assert [e["v"] for e in events] == [1] * len(events)
    assert events[-1]["type"] == "done" and events[-1]["report"]["frames"] == 12
    names = [e["name"] for e in events if e["type"] == "stage"]
    assert names == ["LR stream", "difficulty", "overfit 0", "fine-tune 0", "routes"]


@pytest.mark.parametrize(
    ("sent", "code"),
    [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 6, marks=pytest.mark.slow)],
)
def test_interrupted_then_continued(film, tmp_path, sent, code):
    """The signal comes when the event says that overfitting has begun, long before its end."""
    options = ("--scale", "2", "--lr-codec", "lossless", "--threads", "1", "--steps", "200")
    command = ["encode", film, "-o", tmp_path / "p", *options]
    process = subprocess.Popen(
        [*POCKETSR, *map(str, command), "--events"],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # A background shell has its children ignore Ctrl-C; the command must not inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    events = map(json.loads, process.stdout)
    assert any(e["type"] == "stage" and e["name"] == "overfit 0" for e in events)
    process.send_signal(sent)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == code, stderr
    assert "continues" in stderr and "Traceback" not in stderr
    done = pocketsr(*command, "--json")
    assert done.returncode == 0, done.stderr
    assert pocketsr("verify", tmp_path / "p").returncode == 0


def test_disk_full_is_said_and_the_same_command_continues(film, tmp_path):
    """A file-size limit is the full disk that a test can have."""

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

    command = ["encode", film, "-o", tmp_path / "p", *FAST]
    assert "make room" in refused(6, *command, preexec_fn=limit)
    assert pocketsr(*command).returncode == 0


def test_a_damaged_package_is_refused_by_verify(encoded, tmp_path):
    shutil.copytree(encoded.package, tmp_path / "p")
    blob = tmp_path / "p" / "sr" / "weights-000.bin"
    blob.write_bytes(blob.read_bytes()[:-1] + b"x")
    assert "weights-000.bin" in refused(5, "verify", tmp_path / "p")


def test_an_unknown_target_lists_those_that_exist(encoded):
    assert "x86-64-v3" in refused(2, "compile", encoded.package, "--target", "toaster")


def test_without_an_engine_playing_says_so_and_works(encoded, tmp_path):
    done = pocketsr("play", encoded.package, "--out", tmp_path / "out.mp4", "--json")
    assert done.returncode == 0
    assert "pocketsr compile" in done.stderr
    assert json.loads(done.stdout)["frames"] == 12
    assert (tmp_path / "out.mp4").stat().st_size > 0


def test_the_signing_key_is_the_users_own(encoded):
    assert (encoded.home / "signing.key").stat().st_mode & 0o777 == 0o600
