"""Seven threads over a frame, two such pools at once: the thread sanitizer sees no race."""

import subprocess

import pytest

from tests.compiler.sanitized import FUZZ, can_build, compile_program, sources_of
from tests.compiler.test_fuzz import ARCHITECTURES, make_blobs

SANITIZER = "-fsanitize=thread"


@pytest.mark.slow
@pytest.mark.parametrize("dtype", list(ARCHITECTURES))
def test_no_two_threads_race(dtype, shared, tmp_path):
    if not can_build("gcc", SANITIZER, "main(void)", tmp_path):
        pytest.skip("needs gcc with its thread sanitizer: apt-get install gcc")
    sources = sources_of(shared, dtype)
    program = tmp_path / "threads"
    harness = [FUZZ / "threads.c", *sources]
    compile_program("gcc", SANITIZER, harness, sources[0].parent, program)
    for number, data in enumerate(make_blobs(dtype)):
        blob = tmp_path / f"{number}.psrw"
        blob.write_bytes(data)
        runs = [subprocess.run([program, blob], capture_output=True, text=True) for _ in range(2)]
        assert [run.returncode for run in runs] == [0, 0], runs[0].stderr[-4000:]
        assert runs[0].stdout == runs[1].stdout
