"""A chain whose trunk is a mixture of experts while it is trained, and plain once condensed.

    y = relu( W_0 x + bias + S(x) + sum over e of g_e E_e(x) )      S, E_e = 1x1 (up) o 3x3 (down)

Each crop has its own gates g: a router reads the crop's content and takes the best k of many
narrow experts, as DeepSeekMoE does for tokens (Dai et al., 2024, sections 3.1 and 3.2: fine-grained
experts E_e beside a shared one, here the plain convolution W_0 with a branch S). All are linear and
the ReLU comes after the sum, so for given gates a layer IS one convolution of W_0's size:

    W = W_0 + U_s A_s + sum over e of g_e U_e A_e          U_e [O, r], A_e [r, I k k]

Training therefore runs one 3x3 convolution a crop, whatever the number of experts; and with
constant gates (CD-MoE, sr/shrink/condense.py) the layer folds exactly.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sr.models.chain import Chain
from sr.models.network import Network, crop
from sr.models.registry import build_network

_LOOK_EVERY_PX = 4


@dataclass(frozen=True)
class ExpertPlan:
    """Every layer's experts: how many, the channels inside each, how many a crop gets; and the
    `shared` channels of the branch that every crop gets."""

    experts: int = 8
    channels: int = 16
    chosen: int = 8
    shared: int = 64

    def __post_init__(self) -> None:
        fits = 1 <= self.chosen <= self.experts and self.channels >= 1 and self.shared >= 0
        if not fits:
            raise ValueError(
                f"experts: {self.chosen} chosen of {self.experts} with {self.channels} channels, "
                f"{self.shared} shared; choose at least 1 and at most all of them"
            )


@dataclass(frozen=True)
class Routing:
    """A router's decision for N crops: `probabilities` [N, E] and, of the experts `chosen` [N, k],
    their `gates` [N, k] with mean 1 over the k."""

    probabilities: Tensor
    chosen: Tensor
    gates: Tensor

    def all_gates(self) -> Tensor:
        """[N, E]: every expert's gate, 0 where it is not chosen."""
        return torch.zeros_like(self.probabilities).scatter(1, self.chosen, self.gates)


def content(features: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, 2C]: mean and deviation of every channel, normalised over the 2C.

    Of every fourth row and column, which says as much. No gradient: the router looks at the
    features and does not shape them.
    """
    with torch.no_grad():
        some = features[:, :, ::_LOOK_EVERY_PX, ::_LOOK_EVERY_PX].float()
        deviation, mean = torch.std_mean(some, dim=(2, 3))
        return F.layer_norm(torch.cat([mean, deviation], 1), (2 * features.shape[1],))


class Router(nn.Module):
    """Content [N, D] -> Routing. Softmax, then the best k, renormalised."""

    def __init__(self, features: int, plan: ExpertPlan) -> None:
        super().__init__()
        self.linear = nn.Linear(features, plan.experts)
        self.plan = plan

    def forward(self, described: Tensor) -> Routing:
        probabilities = self.linear(described).softmax(dim=1)
        best, chosen = probabilities.topk(self.plan.chosen, dim=1)
        return Routing(probabilities, chosen, best * self.plan.chosen / best.sum(1, keepdim=True))


def balance_loss(probabilities: Tensor, load: Tensor) -> Tensor:
    """E times the sum of every expert's load and mean probability: 1 where both are uniform.

    Switch Transformer (Fedus et al., 2022, section 2.2, equations 4 to 6). `load` [E] is each
    expert's share of all gates given; it may span more crops than `probabilities` [N, E].
    """
    return len(load) * (load * probabilities.mean(dim=0)).sum()


class ExpertLayer(nn.Module):
    """One 3x3 convolution with experts, before its ReLU.

    `constancy` 0 routes, 1 uses the constant gates `constants` [E] alone (0: an expert that is not
    kept) and needs no router; between, the gates are mixed. `load` [E]: the running share of the
    gates that each expert got. All three are buffers, so a checkpoint has them.
    """

    constancy: Tensor
    constants: Tensor
    load: Tensor

    def __init__(self, plain: nn.Conv2d, plan: ExpertPlan, described: int) -> None:
        super().__init__()
        inner = plan.shared + plan.experts * plan.channels
        self.shared, self.plan = plain, plan
        self.down = nn.Conv2d(plain.in_channels, inner, plain.kernel_size[0], bias=False)
        self.up = nn.Conv2d(inner, plain.out_channels, 1, bias=False)
        self.router = Router(described, plan)
        self.routing: Routing | None = None
        nn.init.normal_(self.down.weight, std=0.5 * self.down.weight[0].numel() ** -0.5)
        nn.init.zeros_(self.up.weight)  # the layer starts as its shared convolution
        self.register_buffer("constancy", torch.zeros(()))
        self.register_buffer("constants", torch.zeros(plan.experts))
        self.register_buffer("load", torch.full((plan.experts,), 1 / plan.experts))

    @property
    def condensed(self) -> bool:
        return bool(self.constancy == 1)

    @property
    def weight(self) -> Tensor:
        """The folded kernel [O, I, k, k] of a condensed layer."""
        if not self.condensed:
            raise ValueError("a layer that still routes has no one kernel; condense it first")
        return self.kernels(self.constants[None])[0]

    @property
    def bias(self) -> Tensor:
        assert self.shared.bias is not None
        return self.shared.bias

    def kernels(self, gates: Tensor) -> Tensor:
        """Gates [N, E] -> folded kernels [N, O, I, k, k], in fp32."""
        with torch.autocast("cpu", enabled=False):
            # All experts at once, [N, O, s + E r] @ [s + E r, I k k]: 1x1 after 3x3 is one matrix
            # product.
            scaled = self.up.weight.flatten(1) * self._spread(gates)[:, None]  # [N, O, s + E r]
            added = scaled @ self.down.weight.flatten(1)
            return self.shared.weight + added.unflatten(2, self.down.weight.shape[1:])

    def _spread(self, gates: Tensor) -> Tensor:
        """[N, E] -> [N, s + E r]: 1 for the shared channels, each expert's gate for its own."""
        routed = gates.float().repeat_interleave(self.plan.channels, dim=1)
        return torch.cat([routed.new_ones(len(gates), self.plan.shared), routed], dim=1)

    def gates(self, described: Tensor) -> Tensor:
        """[N, E]: this layer's gates for each crop; keeps the router's decision in `routing`."""
        if self.condensed:
            self.routing = None
            return self.constants[None]
        with torch.autocast("cpu", enabled=False):
            self.routing = self.router(described)
        return torch.lerp(self.routing.all_gates(), self.constants, self.constancy)

    def forward(self, x: Tensor, described: Tensor) -> Tensor:
        """[N, I, H, W] and content [N, D] -> [N, O, H - 2, W - 2]."""
        kernels = self.kernels(self.gates(described))
        # Condensed, or a single crop: one kernel serves all.
        if len(kernels) == 1:
            return F.conv2d(x, kernels[0], self.bias)
        each = zip(x.split(1), kernels, strict=True)
        return torch.cat([F.conv2d(crop_, kernel, self.bias) for crop_, kernel in each])

    def condense(self, constants: Tensor) -> None:
        """From now on the gates are these [E], for every crop."""
        self.constants.copy_(constants)
        self.constancy.fill_(1.0)


class MoeChain(Chain):
    """A Chain with experts in all of the trunk's convolutions but the first.

    Made from a chain, whose weights it takes over; computes the same until it is trained. Its
    `deployed_tensors` are a plain chain's as soon as all layers are condensed.
    """

    def __init__(self, plain: Network, plan: ExpertPlan) -> None:
        super().__init__(plain.arch)
        # Before the layers are wrapped, whose parameters have other names.
        self.load_state_dict(plain.state_dict())
        described = 2 * plain.arch.widths[0]
        for depth, convolution in enumerate(self.trunk):
            if depth > 0:
                assert isinstance(convolution, nn.Conv2d)
                self.trunk[depth] = ExpertLayer(convolution, plan, described)

    @property
    def layers(self) -> dict[int, ExpertLayer]:
        """The layers with experts, by their place in the trunk."""
        return {i: m for i, m in enumerate(self.trunk) if isinstance(m, ExpertLayer)}

    def activations(self, x: Tensor, depth: int) -> Iterator[Tensor]:
        """The outputs [N, C, ...] of the first `depth` convolutions after their ReLU."""
        features = self.trunk[0](x).relu()
        yield features
        # Once, behind the convolution without experts: all layers' routers read the same.
        described = content(features)
        for layer in self.trunk[1:depth]:
            features = layer(features, described).relu()
            yield features

    def residual(self, x: Tensor, path: int) -> Tensor:
        *_, features = self.activations(self.first(x, path), self.arch.depth(path))
        return self.exits[self.arch.paths.index(path)](features)

    def residuals(self, x: Tensor) -> dict[int, Tensor]:
        depth = self.arch.exits[-1]
        inner = self.first(x, self.arch.paths[-1])
        outputs = {}
        for i, features in enumerate(self.activations(inner, depth), start=1):
            if i in self.arch.exits:
                at = self.arch.exits.index(i)
                outputs[self.arch.paths[at]] = self.exits[at](crop(features, depth - i))
        return outputs

    def folded(self) -> Network:
        """The plain chain that this one has become. Raises ValueError while a layer routes."""
        plain = build_network(self.arch)
        plain.load_deployed(self.deployed_tensors(), pixel_units=False)
        return plain


def moe_chain(plain: Network, plan: ExpertPlan, seed: int = 0) -> MoeChain:
    """`plain` with freshly initialised experts; the same seed gives the same ones."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MoeChain(plain, plan)
