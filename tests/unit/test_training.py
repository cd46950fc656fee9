from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from nni_blockqnn.data import ImageData, Split, load_dataset
from nni_blockqnn.training import (
    EARLY_STOP,
    FINAL,
    IMAGENET_FINAL,
    EpochResult,
    Recipe,
    TrainingError,
    evaluate,
    pick_device,
    train,
)
from nni_blockqnn.training._augment import crop_and_flip, random_crop_and_flip
from nni_blockqnn.training._batches import Batches
from nni_blockqnn.training.errors import memory_errors_explained

CPU = torch.device("cpu")
ADAM = Recipe(epochs=4, batch_size=64, optimizer="adam", learning_rate=0.01)


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return load_dataset("digits", None)


def small_network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 10),
    )


class Constant(nn.Module):
    """Says class 0 of every image, and has a gradient so that it can be "trained"."""

    def __init__(self, logit: float = 100.0, classes: int = 10) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(classes))
        answer = torch.zeros(classes)
        answer[0] = logit
        self.register_buffer("answer", answer)

    def forward(self, images: Tensor) -> Tensor:
        return (self.answer + 0 * self.bias).expand(len(images), -1)


def split_of(count: int, classes: int = 10) -> Split:
    """Blank images with labels 0, 1, 2, ... over and over."""
    return Split(torch.zeros(count, 1, 4, 4, dtype=torch.uint8), torch.arange(count) % classes)


def data_of(train_count: int, valid_count: int = 20) -> ImageData:
    valid = split_of(valid_count)
    names = tuple("0123456789")
    return ImageData(split_of(train_count), valid, valid, 10, names, (0.0,), (1.0,))


def weights_of(network: nn.Module) -> Tensor:
    return torch.cat([value.flatten().float() for value in network.state_dict().values()])


def test_a_small_network_learns_the_digits(digits: ImageData) -> None:
    seen: list[EpochResult] = []
    result = train(small_network, digits, ADAM, device=CPU, on_epoch=seen.append)

    assert result.accuracy > 85
    assert result.accuracy == result.epochs[-1].accuracy
    assert result.best_accuracy == max(epoch.accuracy for epoch in result.epochs)
    assert [epoch.epoch for epoch in result.epochs] == [1, 2, 3, 4]
    assert seen == result.epochs
    assert result.epochs[-1].loss < result.epochs[0].loss
    assert not result.network.training
    test_accuracy = evaluate(result.network, digits.test, digits.mean, digits.std, device=CPU)
    assert test_accuracy > 80


def test_epochs_before_the_last_are_validated_on_a_sample(digits: ImageData) -> None:
    sample = digits.valid.select(torch.arange(0, len(digits.valid), 9))
    whole = train(small_network, digits, ADAM, device=CPU, keep_best=True)
    result = train(small_network, digits, ADAM, device=CPU, keep_best=True, sample=sample)
    assert [epoch.sampled for epoch in result.epochs] == [True, True, True, False]
    assert not any(epoch.sampled for epoch in whole.epochs)
    assert [epoch.loss for epoch in result.epochs] == [epoch.loss for epoch in whole.epochs]
    assert result.accuracy == result.best_accuracy == whole.accuracy
    assert result.kept_epoch == 4, "a sample's accuracy says too little to choose an epoch by"
    step = 100 / len(sample)
    for epoch in result.epochs[:-1]:
        assert round(epoch.accuracy / step) * step == pytest.approx(epoch.accuracy)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(digits: ImageData) -> None:
    recipe = Recipe(
        epochs=1,
        batch_size=256,
        optimizer="sgd",
        learning_rate=0.1,
        augment=True,
        weight_decay=0.01,
    )
    first, again, other = (
        weights_of(train(small_network, digits, recipe, device=CPU, seed=seed).network)
        for seed in (3, 3, 4)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_global_generator_is_left_as_it_was(digits: ImageData) -> None:
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    train(small_network, data_of(20), EARLY_STOP.shortened(1), device=CPU)
    assert torch.equal(torch.rand(3), expected)


def test_a_dead_start_is_followed_by_a_live_one_at_a_smaller_rate(digits: ImageData) -> None:
    networks: list[nn.Module] = []
    seen: list[EpochResult] = []

    def dead_then_live() -> nn.Module:
        # class 9 has 14 of the 144 validation images, fewer than a tenth
        dead = Constant()
        dead.answer = dead.answer.flip(0)
        networks.append(small_network() if networks else dead)
        return networks[-1]

    recipe = Recipe(
        epochs=2,
        batch_size=64,
        optimizer="adam",
        learning_rate=0.01,
        restarts=3,
        restart_factor=0.4,
    )
    result = train(dead_then_live, digits, recipe, device=CPU, on_epoch=seen.append)

    assert result.restarts == 1
    assert result.learning_rate == pytest.approx(0.004)
    assert result.network is networks[1]
    assert [(epoch.restarts, epoch.epoch) for epoch in seen] == [(0, 1), (1, 1), (1, 2)]
    assert [epoch.learning_rate for epoch in seen] == pytest.approx([0.01, 0.004, 0.004])
    assert seen[0].accuracy == pytest.approx(100 * 14 / 144)
    assert [epoch.restarts for epoch in result.epochs] == [1, 1]


def test_exactly_chance_restarts_and_the_last_start_goes_on_to_its_end() -> None:
    seen: list[EpochResult] = []
    result = train(Constant, data_of(40), EARLY_STOP.shortened(2), device=CPU, on_epoch=seen.append)
    assert [(epoch.restarts, epoch.epoch) for epoch in seen] == [
        (0, 1),
        (1, 1),
        (2, 1),
        (3, 1),
        (3, 2),
    ]
    assert result.accuracy == 10.0
    assert result.restarts == 3
    assert result.learning_rate == pytest.approx(0.001 * 0.4**3)


def test_each_start_has_other_weights_and_another_order() -> None:
    firsts: list[Tensor] = []

    def recorded() -> nn.Module:
        firsts.append(torch.rand(4))
        return Constant()

    train(recorded, data_of(40), EARLY_STOP.shortened(1), device=CPU)
    assert len(firsts) == 4
    assert len({tuple(values.tolist()) for values in firsts}) == 4


def test_a_loss_that_is_not_a_number_ends_the_training() -> None:
    with pytest.raises(TrainingError, match=r"became NaN in epoch 1 \(learning rate 0\.01\)"):
        train(lambda: Constant(math.nan), data_of(40), ADAM, device=CPU)
    with pytest.raises(TrainingError, match="infinite"):
        train(lambda: Constant(3e38), data_of(40), ADAM, device=CPU)


def test_a_loss_that_diverges_in_the_first_epoch_is_first_met_with_smaller_rates() -> None:
    seen: list[EpochResult] = []
    recipe = EARLY_STOP.shortened(2)
    with pytest.raises(TrainingError, match=r"epoch 1 \(learning rate 6\.4e-05\)"):
        train(lambda: Constant(math.nan), data_of(40), recipe, device=CPU, on_epoch=seen.append)
    assert [epoch.restarts for epoch in seen] == [0, 1, 2]


def test_learning_rates_follow_the_milestones() -> None:
    recipe = Recipe(
        epochs=5, batch_size=32, optimizer="sgd", learning_rate=0.1, milestones=(2, 4), factor=0.5
    )
    result = train(lambda: Constant(0.0), data_of(40), recipe, device=CPU)
    rates = [epoch.learning_rate for epoch in result.epochs]
    assert rates == pytest.approx([0.1, 0.1, 0.05, 0.05, 0.025])


def test_the_papers_recipes() -> None:
    assert (EARLY_STOP.epochs, EARLY_STOP.batch_size, EARLY_STOP.optimizer) == (12, 256, "adam")
    assert (EARLY_STOP.learning_rate, EARLY_STOP.betas, EARLY_STOP.eps) == (
        1e-3,
        (0.9, 0.999),
        1e-8,
    )
    assert (EARLY_STOP.milestones, EARLY_STOP.factor, EARLY_STOP.augment) == ((5, 10), 0.2, False)
    assert (EARLY_STOP.restarts, EARLY_STOP.restart_factor) == (3, 0.4)
    assert (FINAL.epochs, FINAL.batch_size, FINAL.optimizer) == (300, 128, "sgd")
    assert (FINAL.learning_rate, FINAL.momentum, FINAL.weight_decay) == (0.1, 0.9, 5e-4)
    assert (FINAL.milestones, FINAL.factor, FINAL.augment) == ((150, 225), 0.1, True)
    assert (IMAGENET_FINAL.epochs, IMAGENET_FINAL.batch_size) == (90, 256)
    assert (IMAGENET_FINAL.milestones, IMAGENET_FINAL.weight_decay) == ((30, 60), 1e-4)


@pytest.mark.parametrize(
    ("recipe", "epochs", "milestones"),
    [
        (EARLY_STOP, 6, (2, 5)),  # 2.5 to the even 2
        (EARLY_STOP, 24, (10, 20)),
        (EARLY_STOP, 2, (1,)),  # 0.83 and 1.67: the second would follow the last epoch
        (EARLY_STOP, 1, ()),
        (FINAL, 30, (15, 22)),  # 22.5 to the even 22
        (FINAL, 3, (2, 2)),  # 1.5 and 2.25
    ],
)
def test_shortened_moves_the_milestones(
    recipe: Recipe, epochs: int, milestones: tuple[int, ...]
) -> None:
    short = recipe.shortened(epochs)
    assert (short.epochs, short.milestones) == (epochs, milestones)
    assert short.batch_size == recipe.batch_size


@pytest.mark.parametrize(
    ("field", "value"),
    [("epochs", 0), ("batch_size", 0), ("optimizer", "adamw"), ("learning_rate", math.nan)],
)
def test_a_wrong_recipe_is_refused_by_name(field: str, value: object) -> None:
    settings = {"epochs": 1, "batch_size": 1, "optimizer": "sgd", "learning_rate": 0.1}
    with pytest.raises(ValueError, match=f"{field} must be"):
        Recipe(**(settings | {field: value}))


def test_crop_and_flip_by_hand() -> None:
    image = torch.tensor([[1, 2], [3, 4]], dtype=torch.uint8)
    images = image.expand(4, 2, 2, 2)
    cropped = crop_and_flip(
        images,
        top=torch.tensor([1, 0, 1, 2]),
        left=torch.tensor([1, 1, 1, 2]),
        flips=torch.tensor([False, False, True, True]),
        padding=1,
    )
    expected = torch.tensor(
        [
            [[1, 2], [3, 4]],  # the centre: unchanged
            [[0, 0], [1, 2]],  # one row higher: moved down
            [[2, 1], [4, 3]],  # the centre, mirrored
            [[0, 4], [0, 0]],  # lower right: only 4 is left, mirrored to the right
        ],
        dtype=torch.uint8,
    )
    assert cropped.dtype == torch.uint8
    for channel in range(2):
        assert torch.equal(cropped[:, channel], expected)


def test_random_crops_move_each_image_on_its_own_and_reach_every_place() -> None:
    images = torch.zeros(2000, 1, 9, 9, dtype=torch.uint8)
    images[:, 0, 4, 4] = 7
    moved = random_crop_and_flip(images, torch.Generator().manual_seed(0))
    assert moved.shape == images.shape
    places = (moved[:, 0] == 7).nonzero()
    assert len(places) == 2000  # the centre pixel never leaves a 9x9 image within 4 pixels
    assert len({(row, column) for _, row, column in places.tolist()}) == 81


def test_random_flips_take_half_of_the_images() -> None:
    images = torch.tensor([[5, 9]], dtype=torch.uint8).expand(1000, 1, 1, 2)
    moved = random_crop_and_flip(images, torch.Generator().manual_seed(0), padding=0)
    flipped = int((moved[:, 0, 0, 0] == 9).sum())
    assert 400 < flipped < 600


@pytest.mark.parametrize(
    ("count", "batch_size", "sizes"),
    [
        (10, 4, [4, 4, 2]),
        (9, 4, [4, 4]),  # a batch of one image cannot be normalised
        (8, 4, [4, 4]),
        (3, 1, [1, 1, 1]),
        (1, 4, [1]),
    ],
)
def test_training_batches(count: int, batch_size: int, sizes: list[int]) -> None:
    batches = Batches(split_of(count), (0.0,), (1.0,), CPU)
    epoch = list(batches.shuffled(batch_size, torch.Generator().manual_seed(0), augment=False))
    assert [len(labels) for _, labels in epoch] == sizes
    in_order = list(batches.in_order(batch_size))
    assert torch.cat([labels for _, labels in in_order]).tolist() == [i % 10 for i in range(count)]


def test_batch_normalisation_of_1x1_maps_survives_the_last_batch() -> None:
    def one_by_one() -> nn.Module:
        return nn.Sequential(nn.Conv2d(1, 4, 4), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 10))

    recipe = Recipe(epochs=1, batch_size=16, optimizer="adam", learning_rate=0.01)
    result = train(one_by_one, data_of(33), recipe, device=CPU)
    assert len(result.epochs) == 1


def test_batches_are_normalised_by_channel() -> None:
    pixels = torch.tensor([51, 204], dtype=torch.uint8).view(1, 2, 1, 1).expand(3, 2, 2, 2)
    batches = Batches(Split(pixels, torch.zeros(3, dtype=torch.int64)), (0.1, 0.5), (0.2, 0.1), CPU)
    ((images, _),) = batches.in_order(8)
    assert images[:, 0].unique().tolist() == pytest.approx([0.5])  # (0.2 - 0.1) / 0.2
    assert images[:, 1].unique().tolist() == pytest.approx([3.0], rel=1e-5)  # (0.8 - 0.5) / 0.1


def test_evaluate_counts_in_evaluation_mode_and_puts_the_mode_back() -> None:
    says_three = Constant()
    says_three.answer = says_three.answer.roll(3)
    network = nn.Sequential(says_three, nn.Dropout(0.999))  # in training mode: mostly class 0
    network.train()
    split = Split(torch.zeros(5, 1, 2, 2, dtype=torch.uint8), torch.tensor([3, 3, 0, 3, 2]))
    assert evaluate(network, split, (0.0,), (1.0,), device=CPU, batch_size=2) == 60.0
    assert network.training


@pytest.mark.filterwarnings("ignore:out of memory")
def test_running_out_of_memory_says_what_to_do() -> None:
    class Huge(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(10))

        def forward(self, images: Tensor) -> Tensor:
            return torch.empty(len(images), 2**44) + self.weight  # more than any machine has

    advice = r"too large for this device \(cpu\) at batch 64.*limits\.max_activations"
    with pytest.raises(TrainingError, match=advice):
        train(Huge, data_of(40), ADAM, device=CPU)
    with pytest.raises(TrainingError, match="at batch 8"):
        evaluate(Huge(), split_of(8), (0.0,), (1.0,), device=CPU, batch_size=8)
    with (
        pytest.raises(TrainingError, match="cuda:0"),
        memory_errors_explained(1, torch.device("cuda:0")),
    ):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")


def test_other_errors_pass_unchanged() -> None:
    def broken() -> nn.Module:
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        train(broken, data_of(40), ADAM, device=CPU)


def test_devices_by_name() -> None:
    assert pick_device("cpu") == CPU
    assert pick_device().type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(ValueError, match=r"cuda:99.*CUDA_VISIBLE_DEVICES"):
        pick_device("cuda:99")
    for name in ("gpu", "cuda:x", "", "cuda:-1"):
        with pytest.raises(ValueError, match="device must be auto, cpu"):
            pick_device(name)
