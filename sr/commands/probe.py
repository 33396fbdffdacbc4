"""`pocketsr probe FILE`."""

from pathlib import Path

import click

from sr.commands.options import FILE, json_option, show


@click.command()
@click.argument("file", type=FILE)
@json_option
def command(file: Path, as_json: bool) -> None:
    """What FILE is, and whether it will work."""
    from chunking.errors import InputError
    from chunking.lr import check_scale, lr_size
    from chunking.probe import probe

    info = probe(file)
    scales = {}
    for scale in (2, 3, 4):
        try:
            check_scale(info.height, info.width, scale)
        except InputError:
            continue
        height, width = lr_size(info.height, info.width, scale)
        scales[f"x{scale}"] = f"{width}x{height}"
    if not scales:
        raise InputError(f"{file} is {info.width}x{info.height}: too small for any scale")
    result = {
        "schema": "pocketsr.probe/1",
        "file": str(file),
        "width": info.width,
        "height": info.height,
        "rotation_deg": info.rotation_deg,
        "frame_rate": float(info.frame_rate),
        "frames_hint": info.frames_hint,
        "duration_s": info.duration_s,
        "codec": info.codec,
        "pix_fmt": info.pix_fmt,
        "bit_depth": info.bit_depth,
        "colour": vars(info.colour),
        "interlaced": info.interlaced,
        "has_alpha": info.has_alpha,
        "has_audio": info.has_audio,
        "lr_sizes": scales,
        "warnings": list(info.warnings),
    }
    sizes = ", ".join(f"{scale} from {size}" for scale, size in scales.items())
    colour = f"{info.colour.matrix}, {'full' if info.colour.full_range else 'limited'} range"
    show(
        result,
        as_json,
        [
            ("video", f"{info.width}x{info.height} {info.codec} {info.pix_fmt}, {colour}"),
            ("time", f"{info.duration_s or 0:.2f} s, {float(info.frame_rate):.3f} frames/s"),
            ("audio", "yes" if info.has_audio else "no"),
            ("scales", sizes),
            *(("warning", warning) for warning in info.warnings),
        ],
    )
