"""The convolution of discriminators: PyTorch's own numbers, and gradients of gradients without detours."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from upimagine.nets.convolution import conv2d

WAYS = [(3, 1, 1), (4, 2, 1), (1, 1, 0), (3, 1, 0)]  # kernel, stride, padding


def layer(kernel: int, dtype: torch.dtype = torch.float64, extent: int = 8) -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(3)
    shapes = (2, 3, extent, extent - 2), (4, 3, kernel, kernel), (4,)
    x, weight, bias = (torch.randn(shape, generator=random, dtype=dtype).requires_grad_() for shape in shapes)
    return x, weight, bias


@pytest.mark.parametrize(("kernel", "stride", "padding"), WAYS)
def test_gradients_and_their_gradients_are_right(kernel: int, stride: int, padding: int) -> None:
    def run(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return conv2d(x, weight, bias, stride, padding)

    inputs = layer(kernel, extent=6)
    assert torch.autograd.gradcheck(run, inputs)
    assert torch.autograd.gradgradcheck(run, inputs)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize(("kernel", "stride", "padding"), WAYS)
def test_a_penalty_teaches_exactly_what_it_does_by_pytorchs_own(
    kernel: int, stride: int, padding: int, precision: str
) -> None:
    found = []
    for convolution in (conv2d, F.conv2d):
        x, weight, bias = layer(kernel, torch.float32)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            made = convolution(x, weight, bias, stride, padding)
            (gradient,) = torch.autograd.grad(made.square().sum(), x, create_graph=True)
        (gradient.float().square().sum() + made.float().sum()).backward()
        found.append([made, gradient, x.grad, weight.grad, bias.grad])
    tolerance = 1e-5 if precision == "float32" else 2e-2
    for ours, theirs in zip(*found, strict=True):
        assert ours is not None and theirs is not None and ours.dtype == theirs.dtype
        largest = float(theirs.detach().abs().max())
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance * largest)


def test_the_gradient_to_pictures_alone_costs_no_gradient_to_weights() -> None:
    x, weight, bias = layer(3, torch.float32)
    made = conv2d(x, weight, bias, 1, 1)
    with FlopCounterMode(display=False) as forward:
        F.conv2d(x, weight, bias, 1, 1)
    with FlopCounterMode(display=False) as counted:
        torch.autograd.grad(made.sum(), x, create_graph=True)
    assert counted.get_total_flops() == forward.get_total_flops()


def test_the_gradient_of_a_gradient_to_weights_costs_no_more_than_a_gradient_to_weights() -> None:
    x, weight, bias = layer(3, torch.float32)
    with FlopCounterMode(display=False) as once:
        conv2d(x, weight, bias, 1, 1)
    (gradient,) = torch.autograd.grad(conv2d(x, weight, bias, 1, 1).sum(), x, create_graph=True)
    with FlopCounterMode(display=False) as counted:
        torch.autograd.grad(gradient.square().sum(), weight)
    assert counted.get_total_flops() == once.get_total_flops()
