"""Whether something of a picture is transparent, which is dropped: many formats have an alpha
channel, such as GIF's, in which every pixel is opaque."""

import av

ALPHA_IS_DROPPED = "the alpha channel is dropped"
_OPAQUE = 255


def is_transparent(frame: av.VideoFrame) -> bool:
    """Whether a pixel of a decoded frame is not opaque, to 8 bit. A palette's colours have alpha,
    though no component of such a frame is one.
    """
    kind = frame.format
    if kind.name != "pal8" and not any(c.is_alpha for c in kind.components):
        return False
    try:
        rgba = frame.reformat(format="rgba", threads=1).to_ndarray()
    except (av.FFmpegError, ValueError):
        return True  # not known, and rather said once too often
    return bool(rgba[..., 3].min() < _OPAQUE)
