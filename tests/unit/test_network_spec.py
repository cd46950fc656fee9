"""Networks around a block: presets, fields, and every field's refusals."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nni_blockqnn.network.spec import FRAMES, PRESETS, NetworkSpec


def test_the_papers_networks() -> None:
    cifar100 = NetworkSpec("cifar100")
    assert cifar100.input_shape == (3, 32, 32)
    assert cifar100.classes == 100
    assert cifar100.filters == (32, 64, 128)
    assert cifar100.repeats == 4
    assert cifar100.project_input is True
    assert cifar100.frame == "stack"
    assert cifar100.stage_sizes == ((32, 32), (16, 16), (8, 8))
    imagenet = NetworkSpec("imagenet")
    assert imagenet.classes == 1000
    assert imagenet.repeats == 3
    # two poolings in the stem, one between stages
    assert imagenet.stage_sizes == ((56, 56), (28, 28), (14, 14), (7, 7))


def test_the_contracts_call_is_cifar_10() -> None:
    spec = NetworkSpec(
        input_shape=(3, 32, 32),
        classes=10,
        filters=(32, 64, 128),
        repeats=4,
        stem_convs=1,
        project_input=True,
        frame="stack",
    )
    assert spec == NetworkSpec() == NetworkSpec("cifar10")
    assert hash(spec) == hash(NetworkSpec("cifar10"))
    assert spec != NetworkSpec("cifar100")


def test_an_argument_beside_a_preset_wins() -> None:
    spec = NetworkSpec("cifar100", repeats=2, filters=[8, 16], frame="residual")
    assert (spec.repeats, spec.filters, spec.frame, spec.classes) == (2, (8, 16), "residual", 100)
    assert spec.with_repeats(3) == NetworkSpec(
        "cifar100", repeats=3, filters=[8, 16], frame="residual"
    )


def test_uneven_maps_are_halved_downwards() -> None:
    spec = NetworkSpec(input_shape=(1, 28, 29), filters=(4, 8, 16))
    assert spec.stage_sizes == ((28, 29), (14, 14), (7, 7))


@pytest.mark.parametrize("preset", PRESETS)
def test_json_text_is_the_same_network(preset: str) -> None:
    spec = NetworkSpec(preset, repeats=7)
    assert NetworkSpec.from_parameter(spec.to_json()) == spec
    assert NetworkSpec.from_parameter(json.loads(spec.to_json())) == spec


def test_a_trials_network_parameter() -> None:
    assert NetworkSpec.from_parameter("cifar100") == NetworkSpec("cifar100")
    assert NetworkSpec.from_parameter("cifar100", 2) == NetworkSpec("cifar100", repeats=2)
    text = '  {"preset": "digits", "filters": [4, 8], "repeats": 3}'
    assert NetworkSpec.from_parameter(text) == NetworkSpec("digits", filters=(4, 8), repeats=3)
    assert NetworkSpec.from_parameter(text, 5).repeats == 5


HUGE = 10**5000


@pytest.mark.parametrize(
    ("fields", "fragments"),
    [
        ({"preset": "mnist"}, ["preset", "digits, fashion_mnist, cifar10", "'mnist'"]),
        ({"preset": ["digits"]}, ["preset", "['digits']"]),
        ({"input_shape": (3, 32)}, ["input_shape", "(channels, height, width)", "(3, 32)"]),
        ({"input_shape": 32}, ["input_shape", "list", "32"]),
        ({"input_shape": (0, 32, 32)}, ["input_shape", "1 to 65536", "got 0"]),
        ({"input_shape": (3, 32.0, 32)}, ["input_shape", "integer", "32.0"]),
        ({"input_shape": (3, 65537, 32)}, ["input_shape", "got 65537"]),
        ({"classes": 0}, ["classes", "1 to 65536", "got 0"]),
        ({"classes": True}, ["classes", "integer", "True"]),
        ({"classes": "10"}, ["classes", "integer", "'10'"]),
        ({"classes": HUGE}, ["classes", "a int"]),
        ({"filters": ()}, ["filters", "1 to 16 integers", "()"]),
        ({"filters": [8] * 17}, ["filters", "1 to 16 integers"]),
        ({"filters": "32"}, ["filters", "list", "'32'"]),
        ({"filters": [8, -1]}, ["filters", "got -1"]),
        ({"repeats": 0}, ["repeats", "1 to 1000", "got 0"]),
        ({"repeats": 1001}, ["repeats", "got 1001"]),
        ({"repeats": 2.5}, ["repeats", "integer", "2.5"]),
        ({"stem_convs": 0}, ["stem_convs", "got 0"]),
        ({"stem_pools": -1}, ["stem_pools", "got -1"]),
        ({"stem_pools": 2}, ["stem_pools", "stem_convs", "2 > 1"]),
        ({"project_input": 1}, ["project_input", "true or false", "got 1"]),
        ({"project_input": "yes"}, ["project_input", "true or false", "'yes'"]),
        ({"frame": "densenet"}, ["frame", ", ".join(FRAMES), "'densenet'"]),
        ({"frame": ["stack"]}, ["frame", "['stack']"]),
        ({"input_shape": (1, 3, 3)}, ["input_shape (1, 3, 3) is too small", "2 poolings"]),
        ({"input_shape": (1, 32, 2)}, ["too small"]),
    ],
)
def test_a_wrong_field_is_refused_with_name_and_value(
    fields: dict[str, Any], fragments: list[str]
) -> None:
    for make in (
        lambda: NetworkSpec(**fields),
        lambda: NetworkSpec.from_parameter(fields),
    ):
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            make()
        for fragment in fragments:
            assert fragment in str(caught.value)


@pytest.mark.parametrize(
    ("network", "fragments"),
    [
        ("", ["preset", "''"]),
        ("CIFAR100", ["preset", "'CIFAR100'"]),
        ("[1]", ["preset", "'[1]'"]),
        ("{", ["network", "JSON", "'{'"]),
        ('{"a":' * 100_000, ["network", "JSON"]),
        ('{"width": 3}', ["network has no field 'width'", "preset, input_shape, classes"]),
        ({1: 2}, ["network has no field '1'"]),
        (None, ["network", "JSON object", "None"]),
        (7, ["network", "JSON object", "7"]),
        ([["classes", 5]], ["network", "JSON object", "classes"]),
        ({"classes": [HUGE]}, ["classes", "integer"]),
    ],
)
def test_a_wrong_network_parameter_is_refused(network: Any, fragments: list[str]) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        NetworkSpec.from_parameter(network)
    for fragment in fragments:
        assert fragment in str(caught.value)


@pytest.mark.parametrize("repeats", [0, True, 2.0, "4", [4]])
def test_wrong_repeats_of_a_trial_are_refused(repeats: Any) -> None:
    with pytest.raises(ValueError, match="repeats must be an integer from 1 to 1000"):
        NetworkSpec.from_parameter("cifar100", repeats)
