"""The table `uniform`: what `--budget` alone means, against CHEX, clip by clip in turns."""

from benchmarks.shrinking import stages
from benchmarks.shrinking.claims import above, ratio

ARMS = {name: stages.ARMS[name] for name in ("chex", "uniform")}
CLAIMS = (
    above("uniform", "chex", 0.0),
    ratio("uniform", "chex", "server_s", 1.0, "the server's seconds"),
    ratio("uniform", "chex", "macs", 1.0, "multiplications"),
)
SHOWN = ("arm", "psnr_db", "worst_group_db", "bytes", "macs", "server_s")
make = stages.make
