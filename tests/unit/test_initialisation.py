"""The weights with which networks begin: MSRA's, by the seed, each block its own."""

from __future__ import annotations

import math

import pytest
import torch
from hand_made_blocks import RESIDUAL, UNEQUAL_ADD
from torch import Tensor, nn

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.model_space import build_network
from nni_blockqnn.network.spec import NetworkSpec


def test_every_repetition_has_weights_of_its_own() -> None:
    spec = NetworkSpec("digits", repeats=2)
    first, second = build_network(RESIDUAL, spec).get_submodule("stage1").children()
    assert not torch.equal(first.layers["2"].conv.weight, second.layers["2"].conv.weight)


def test_msra_initialisation() -> None:
    torch.manual_seed(0)
    spec = NetworkSpec(input_shape=(3, 8, 8), classes=500, filters=(32, 128), repeats=1)
    network = build_network(RESIDUAL, spec)
    conv = network.get_parameter("stage2.block1.layers.2.conv.weight")  # 128 x 128 x 3 x 3
    entry = network.get_parameter("stage2.block1.project_input.conv.weight")  # 128 x 32 x 1 x 1
    linear = network.get_parameter("head.linear.weight")  # 500 x 128
    assert conv.mean().abs() < 1e-3
    assert conv.std().item() == pytest.approx(math.sqrt(2 / (128 * 9)), rel=0.02)
    assert entry.std().item() == pytest.approx(math.sqrt(2 / 128), rel=0.05)  # outputs, not inputs
    assert linear.std().item() == pytest.approx(math.sqrt(2 / 128), rel=0.02)  # inputs
    assert not network.get_parameter("head.linear.bias").any()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all()
            assert not module.bias.any()


def test_msra_initialisation_of_depthwise_convolutions() -> None:
    torch.manual_seed(0)
    block = Block.parse([[1, 11, 5, 0, 0]], extra_kinds=["separable"])
    network = build_network(block, NetworkSpec("cifar10", repeats=1))
    weight = network.get_parameter("stage3.block1.layers.1.depthwise.weight")  # 128 x 1 x 5 x 5
    assert weight.std().item() == pytest.approx(math.sqrt(2 / 25), rel=0.05)


def test_msra_initialisation_of_the_convolutional_head() -> None:
    torch.manual_seed(0)
    network = build_network(RESIDUAL, NetworkSpec("cifar100", repeats=1, frame="nin"))
    weight = network.get_parameter("head.conv.weight")  # 100 x 128 x 1 x 1
    assert weight.std().item() == pytest.approx(math.sqrt(2 / 100), rel=0.03)
    assert not network.get_parameter("head.conv.bias").any()


def test_a_seed_makes_the_weights_reproducible() -> None:
    def weights(seed: int) -> Tensor:
        torch.manual_seed(seed)
        network = build_network(UNEQUAL_ADD, NetworkSpec("digits"))
        return nn.utils.parameters_to_vector(network.parameters())

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))
