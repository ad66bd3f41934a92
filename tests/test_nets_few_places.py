"""Matrix products in place of convolutions: the same function, the same gradients, the same parameters."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from upimagine.nets.dcgan import DcganDiscriminator, DcganGenerator
from upimagine.nets.few_places import FewPlacesConv2d, FewPlacesConvTranspose2d

PAIRS = [(FewPlacesConv2d, nn.Conv2d), (FewPlacesConvTranspose2d, nn.ConvTranspose2d)]


def trained(layer: nn.Module, x: Tensor) -> tuple[Tensor, ...]:
    """What comes out in bfloat16, and the gradients of input and parameters."""
    x = x.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    weights = torch.linspace(-1, 1, y.numel()).view(y.shape)
    (y.float() * weights).sum().backward()
    return y.detach().float(), *(tensor.grad for tensor in (x, *layer.parameters()) if tensor.grad is not None)


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
@pytest.mark.parametrize("sides", [(4, 2, 1), (3, 1, 1), (4, 1, 0)])
def test_products_are_the_convolution(ours: type[nn.Conv2d], theirs: type[nn.Conv2d], sides: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    layer, reference = (kind(6, 5, *sides).to(memory_format=torch.channels_last) for kind in (ours, theirs))
    reference.load_state_dict(layer.state_dict())
    x = torch.randn(3, 6, 4, 8).contiguous(memory_format=torch.channels_last)
    assert torch.equal(layer(x), reference(x))  # float32: PyTorch's own way
    for one, other in zip(trained(layer, x), trained(reference, x), strict=True):
        assert one.shape == other.shape
        torch.testing.assert_close(one, other, rtol=2e-2, atol=2e-2 * float(other.abs().max()))
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        assert torch.equal(layer(x), reference(x))  # at inference, too


def test_dcgans_take_it_where_maps_have_four_by_four_places() -> None:
    generator, discriminator = DcganGenerator(128, width=2), DcganDiscriminator(128, width=2)
    seen: dict[str, list[int]] = {}

    def look(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen.setdefault(type(layer).__name__, []).extend((inputs[0].shape[2], output.shape[2]))

    for net in (generator, discriminator):
        for layer in net.modules():
            if isinstance(layer, FewPlacesConv2d | FewPlacesConvTranspose2d):
                layer.register_forward_hook(look)
    discriminator(generator(torch.randn(2, 100)))
    assert seen == {"FewPlacesConvTranspose2d": [4, 8], "FewPlacesConv2d": [8, 4]}
