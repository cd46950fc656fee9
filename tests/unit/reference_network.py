"""Networks written down a second time, with functions only."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.network.spec import NetworkSpec


class Reference:
    """The network once more, with functions only, from the paper and docs; training mode."""

    def __init__(self, network: nn.Module, block: Block, spec: NetworkSpec) -> None:
        self.weights = dict(network.named_parameters())
        self.block = block
        self.spec = spec

    def logits(self, x: Tensor) -> Tensor:
        spec = self.spec
        for number in range(1, spec.stem_convs + 1):
            x = self.conv_bn(x if number == 1 else F.relu(x), f"stem.conv{number}")
            if number <= spec.stem_pools:
                x = F.max_pool2d(x, 2)
        downwards: list[Tensor] = []
        for stage, filters in enumerate(spec.filters, 1):
            if stage > 1:
                x = F.max_pool2d(x, 2)
            for number in range(1, spec.repeats + 1):
                x = self.framed_block(x, filters, f"stage{stage}.block{number}")
            if spec.frame == "nin":
                x = self.pcc(self.pcc(x, f"stage{stage}.nin1"), f"stage{stage}.nin2")
            downwards.append(x)
        if spec.frame == "upsample":
            x = self.way_up(downwards)
        x = F.relu(x)
        if spec.frame == "upsample":
            return F.conv2d(x, self.weights["head.conv.weight"], self.weights["head.conv.bias"])
        if spec.frame == "nin":
            maps = F.conv2d(x, self.weights["head.conv.weight"], self.weights["head.conv.bias"])
            return maps.mean((2, 3))
        features = x.mean((2, 3))
        return features @ self.weights["head.linear.weight"].T + self.weights["head.linear.bias"]

    def way_up(self, downwards: list[Tensor]) -> Tensor:
        x = downwards[-1]
        for stage in range(len(downwards) - 1, 0, -1):
            filters, skip = self.spec.filters[stage - 1], downwards[stage - 1]
            x = x if x.shape[1] == filters else self.pcc(x, f"up{stage}.deep")
            skip = skip if skip.shape[1] == filters else self.pcc(skip, f"up{stage}.skip")
            # nearest: row i of H is row floor(i h / H) of h
            rows, columns = (
                torch.arange(size) * small // size
                for size, small in zip(skip.shape[2:], x.shape[2:], strict=True)
            )
            x = x[:, :, rows][:, :, :, columns] + skip
            for number in range(1, self.spec.repeats + 1):
                x = self.framed_block(x, filters, f"up{stage}.stage.block{number}")
        return x

    def framed_block(self, x: Tensor, filters: int, name: str) -> Tensor:
        if self.spec.frame != "residual":
            return self.block_output(x, filters, name)
        y = self.block_output(x, filters, f"{name}.block")
        return y + (x if x.shape == y.shape else self.pcc(x, f"{name}.shortcut"))

    def block_output(self, x: Tensor, filters: int, name: str) -> Tensor:
        if self.spec.project_input and x.shape[1] != filters:
            x = self.pcc(x, f"{name}.project_input")
        maps = {0: x}
        read = set()
        for index, layer_type, kernel, pred1, pred2 in self.block.codes[:-1]:
            a, b, layer = maps[pred1], maps[pred2], f"{name}.layers.{index}"
            read |= {pred1, pred2}
            if layer_type == 1 and self.block.encoding == "separate":
                maps[index] = F.conv2d(a, self.weights[f"{layer}.weight"], padding="same")
            elif layer_type == 1:
                maps[index] = self.pcc(a, layer)
            elif layer_type == 2:
                maps[index] = F.max_pool2d(a, kernel, 1, kernel // 2)
            elif layer_type == 3:
                inside = F.avg_pool2d(torch.ones_like(a), kernel, 1, kernel // 2)
                maps[index] = F.avg_pool2d(a, kernel, 1, kernel // 2) / inside
            elif layer_type == 4:
                maps[index] = a
            elif layer_type == 8:
                maps[index] = F.relu(a)
            elif layer_type == 9:
                maps[index] = self.batch_norm(a, layer)
            elif layer_type == 11:
                maps[index] = self.separable(a, layer)
            elif layer_type == 5:
                if a.shape != b.shape:
                    a = a if a.shape[1] == filters else self.pcc(a, f"{layer}.pred1")
                    b = b if b.shape[1] == filters else self.pcc(b, f"{layer}.pred2")
                maps[index] = a + b
            else:
                maps[index] = torch.cat((a, b), dim=1)
        return torch.cat([maps[index] for index in maps if index not in read], dim=1)

    def separable(self, x: Tensor, name: str) -> Tensor:
        x = F.relu(x)
        depthwise = self.weights[f"{name}.depthwise.weight"]
        # each channel by itself, and the channels mixed by a matrix
        planes = [F.conv2d(x[:, [c]], depthwise[[c]], padding="same") for c in range(x.shape[1])]
        pointwise = self.weights[f"{name}.pointwise.weight"][:, :, 0, 0]
        mixed = torch.einsum("oc,bchw->bohw", pointwise, torch.cat(planes, dim=1))
        return self.batch_norm(mixed, f"{name}.bn")

    def pcc(self, x: Tensor, name: str) -> Tensor:
        return self.conv_bn(F.relu(x), name)

    def conv_bn(self, x: Tensor, name: str) -> Tensor:
        x = F.conv2d(x, self.weights[f"{name}.conv.weight"], padding="same")
        return self.batch_norm(x, f"{name}.bn")

    def batch_norm(self, x: Tensor, name: str) -> Tensor:
        mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), False, keepdim=True)
        x = (x - mean) / (variance + 1e-5).sqrt()
        scale, shift = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return x * scale[:, None, None] + shift[:, None, None]
