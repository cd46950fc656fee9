"""What may be asked of a search: its budget, its numbers, and how two requests differ."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from nni_blockqnn.automl.request import (
    Budget,
    Request,
    RequestError,
    difference,
    parse_budget,
)


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("auto", Budget("auto")),
        ("medium", Budget("tier", "medium")),
        ("40M", Budget("flops", 40_000_000)),
        ("1.5G", Budget("flops", 1_500_000_000)),
        ("350k", Budget("flops", 350_000)),
        ("40000000", Budget("flops", 40_000_000)),
        ("2ms", Budget("latency", 2.0)),
        ("0.5 ms", Budget("latency", 0.5)),
    ],
)
def test_budgets(text: str, budget: Budget) -> None:
    assert parse_budget(text) == budget


@pytest.mark.parametrize("text", ["", "huge", "40 M", "-4M", "0", "0M", "0ms", "2s", "4e7", "nan"])
def test_a_wrong_budget_says_what_is_allowed(text: str) -> None:
    with pytest.raises(RequestError, match=r"budget must be auto, small, .* 40M .*2ms, got "):
        parse_budget(text)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("hours", value) for value in (0, -1, float("nan"), float("inf"), True, "2", 10**6)),
        *(("trials", value) for value in (0, -3, 2.5, True)),
        *(("concurrency", value) for value in (0, 10**9)),
        *(("gpus", value) for value in (-1, 0.5)),
        *(("seed", value) for value in (-1, 2**32, 1.0)),
        ("finalists", 0),
        ("final_epochs", 0),
        ("budget", "tiny"),
        ("frontier", 1),
    ],
)
def test_a_wrong_request_names_the_field(field: str, value: object) -> None:
    with pytest.raises(RequestError, match=f"^{field} must be "):
        Request(**({"data": "digits", "hours": 1.0} | {field: value}))


def test_requests_differ_in_what_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    request = Request("photos", 2.0)
    assert request.to_json()["data"] == str(tmp_path / "photos")
    assert json.loads(json.dumps(request.to_json())) == request.to_json()
    same = Request(str(tmp_path / "photos"), 2)
    assert difference(request.to_json(), same.to_json()) == ""
    other = difference(request.to_json(), replace(request, hours=3.0).to_json())
    assert other == "hours was 2.0, now it is 3.0"
    earlier = {name: value for name, value in request.to_json().items() if name != "frontier"}
    assert difference(earlier, request.to_json()) == ""  # of a version that did not know it
    other = difference(earlier, replace(request, frontier=True).to_json())
    assert other == "frontier was False, now it is True"


def test_the_name_of_a_data_set_is_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    assert Request("digits", 1.0).to_json()["data"] == "digits"
    assert Request("./digits", 1.0).to_json()["data"] == str(tmp_path / "digits")
