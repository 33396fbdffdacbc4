"""The network of the fixture `trained`, for tests of its integers."""

from player.package.architecture import Architecture
from sr.models import Network, build_network
from sr.quant.calibrate import calibrate
from sr.quant.fake import make_fake
from sr.quant.finetune import calibration_crops
from sr.training.data import CropSampler

ARCH = Architecture("chain", 2, (8, 12, 8), (1, 3))


def copy_of(network: Network) -> Network:
    fresh = build_network(network.arch)
    fresh.load_state_dict(network.state_dict())
    return fresh


def fake_of(network: Network, sampler: CropSampler, learn_weights: bool = False) -> Network:
    fake = copy_of(network)
    steps = calibrate(network, calibration_crops(sampler))
    make_fake(fake, steps.activations, learn_weights)
    return fake
