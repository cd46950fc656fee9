"""A trial of one's own: a plain PyTorch training around the block that the tuner proposes.

All that the tuner asks for is a final metric that names its episode and block.
"""

from __future__ import annotations

import nni

parameters = nni.get_next_parameter()  # first of all: a trial that fails before this confuses NNI

import torch  # noqa: E402
from sklearn.datasets import load_digits  # noqa: E402

from nni_blockqnn import NetworkSpec, build_network  # noqa: E402
from nni_blockqnn.exchange.parameters import read_task  # noqa: E402

torch.manual_seed(0)
torch.set_num_threads(1)

digits = load_digits()
images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16
labels = torch.tensor(digits.target)
order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
train, valid = order[:1500], order[1500:]

block = read_task(parameters).block
network = build_network(block, NetworkSpec("digits", repeats=parameters["repeats"]))
optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)

for _ in range(3):
    network.train()
    for batch in train.split(50):
        loss = torch.nn.functional.cross_entropy(network(images[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

network.eval()
with torch.inference_mode():
    correct = (network(images[valid]).argmax(1) == labels[valid]).float().mean().item()
nni.report_final_result(
    {
        "default": 100 * correct,
        "episode": parameters["episode"],
        "block": parameters["block"],
    }
)
