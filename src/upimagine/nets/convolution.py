"""A convolution whose gradient has quick gradients of its own, for penalties on the gradient of a discriminator.

PyTorch takes the gradient, to the weights, of a convolution's gradient to its input by a convolution with a kernel as
large as the picture, of maps that it first transposes: many times slower than the weight gradient of the same layer, as
which it can be written. NVIDIA's StyleGAN2-ADA (torch_utils/ops/conv2d_gradfix.py) does so on GPUs.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def conv2d(x: Tensor, weight: Tensor, bias: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
    """As `torch.nn.functional.conv2d`, autocast included: the same numbers, and gradients of any order."""
    if not torch.is_grad_enabled():
        return F.conv2d(x, weight, bias, stride, padding)
    kind = x.device.type
    if torch.is_autocast_enabled(kind):
        dtype = torch.get_autocast_dtype(kind)
        x, weight, bias = x.to(dtype), weight.to(dtype), bias.to(dtype)
    token = _run(_ToWeights, weight, bias, [x], stride, padding)
    return _run(_Convolution, x, token, weight, bias, stride, padding)


def _run(function: type[torch.autograd.Function], *arguments: Any) -> Tensor:
    made: Tensor = function.apply(*arguments)  # type: ignore[no-untyped-call]  # PyTorch gives it no types
    return made


def _backward(
    gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int, wanted: tuple[bool, bool, bool]
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients to input, weights and biases, those that are wanted."""
    made: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(
        gradient,
        x,
        weight,
        [weight.shape[0]],
        [stride, stride],
        [padding, padding],
        [1, 1],
        False,
        [0, 0],
        1,
        wanted,
    )
    return made


class _Convolution(torch.autograd.Function):
    """Hands its gradient on to its input and, as it is, to the token.

    A function of autograd is not told which of its gradients are asked for. With those to weights and biases in a node
    of their own, autograd leaves that node out when it is asked for the one to the pictures only.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, token: Tensor, weight: Tensor, bias: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.how = stride, padding
        return F.conv2d(x, weight, bias, stride, padding)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (gradient,) = gradients
        x, weight = ctx.saved_tensors
        to_x = _run(_ToInput, gradient, weight, x, *ctx.how) if ctx.needs_input_grad[0] else None
        return to_x, gradient, None, None, None, None


class _ToWeights(torch.autograd.Function):
    """A token, without memory, in the shape of what the convolution makes; its gradient is the convolution's.

    The input comes in a list: were it known to autograd, this node would lie on the way to it.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor, bias: Tensor, inputs: list[Tensor], stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.inputs, ctx.how = inputs, (stride, padding)
        count, _, *extents = inputs[0].shape
        made = [
            (extent + 2 * padding - kernel) // stride + 1
            for extent, kernel in zip(extents, weight.shape[2:], strict=True)
        ]
        return weight.new_zeros(1).expand(count, len(weight), *made)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (gradient,), (weight,), (x,) = gradients, ctx.saved_tensors, ctx.inputs
        to_weight, to_bias = ctx.needs_input_grad[:2]
        if not torch.is_grad_enabled():
            stride, padding = ctx.how
            wanted = False, to_weight, to_bias
            return *_backward(gradient, x, weight, stride, padding, wanted)[1:], None, None, None
        return (
            _run(_WeightGradient, gradient, x, weight, *ctx.how) if to_weight else None,
            gradient.sum((0, 2, 3)) if to_bias else None,
            None,
            None,
            None,
        )


class _ToInput(torch.autograd.Function):
    """The gradient to the input, which is linear in the output's gradient and in the weights."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, weight: Tensor, x: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(gradient, weight)
        ctx.how = stride, padding
        return _backward(gradient, x, weight, stride, padding, (True, False, False))[0]  # of x only the shape counts

    @staticmethod
    def backward(ctx: Any, *outer: Any) -> Any:
        (outer_gradient,) = outer
        gradient, weight = ctx.saved_tensors
        to_gradient, to_weight = ctx.needs_input_grad[:2]
        return (
            conv2d(outer_gradient, weight, weight.new_zeros(len(weight)), *ctx.how) if to_gradient else None,
            _run(_WeightGradient, gradient, outer_gradient, weight, *ctx.how) if to_weight else None,
            None,
            None,
            None,
        )


class _WeightGradient(torch.autograd.Function):
    """The gradient to the weights, which is linear in the output's gradient and in the input."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(gradient, x)
        ctx.how = stride, padding
        return _backward(gradient, x, weight, stride, padding, (False, True, False))[1]  # of weight only the shape

    @staticmethod
    def backward(ctx: Any, *outer: Any) -> Any:
        (outer_weight,) = outer
        gradient, x = ctx.saved_tensors
        to_gradient, to_x = ctx.needs_input_grad[:2]
        return (
            conv2d(x, outer_weight, outer_weight.new_zeros(len(outer_weight)), *ctx.how) if to_gradient else None,
            _run(_ToInput, gradient, outer_weight, x, *ctx.how) if to_x else None,
            None,
            None,
            None,
        )
