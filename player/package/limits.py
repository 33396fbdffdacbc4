"""Every bound on what a package may ask for, in one place.

A package comes from a network, so each number in it is checked against this table before
anything is allocated.
"""

MAX_INDEX_BYTES = 4 << 20
MAX_MANIFEST_BYTES = 16 << 20  # at 50 to 90 bytes a segment
MAX_RECORD_BYTES = 64 << 20  # job.json and report.json, which nobody signed
MAX_PATH_CHARS = 200
MAX_TEXT_CHARS = 200
MAX_REVISION = 1 << 31

MAX_SCALE = 4
MAX_LR_SIDE_PX = 8192
MAX_LR_PIXELS = 4096 * 2304
MIN_CELL_PX, MAX_CELL_PX = 4, 1024

MAX_FRAMES = 10_000_000
MAX_SEGMENTS = 100_000
# As many as the u16 of a route map's header can count.
MAX_SEGMENT_FRAMES = 0xFFFF
MAX_SEGMENT_BYTES = 128 << 20
MAX_TICKS = 1 << 62
MAX_TIMESCALE = 1 << 31
MAX_RUNGS = 16  # of a ladder
MAX_SOUNDS = 32  # tracks, and of subtitles as well
MAX_TEXTS = 64
MAX_TEXT_BYTES = 8 << 20  # a file of subtitles: a talkative film has some 100 KB

# The family of networks that one engine plays. `compiler/emit` gives C the same numbers.
MAX_BLOB_BYTES = 4 << 20
MAX_CODED_WEIGHTS = 1 << 18  # a few bytes may unfold into them, and each takes Python a while
MAX_WIDTH, MAX_DEPTH, MAX_EXITS, MAX_BLOCKS = 256, 12, 4, 32
MAX_UNITS = 3

MAX_NETWORKS = 16  # a route code has four bits for the network
MAX_ROUTES_BYTES = 16 << 20
MAX_GRID_SIDE = 2048
MAX_CODED_STEPS = 1 << 17  # frames, blocks and cells of it that are looked at one by one
MAX_ROUTE_CELLS = 1 << 24  # of one segment's route map once unpacked, a byte each
