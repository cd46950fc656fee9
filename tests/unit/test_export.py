"""What the command writes: files of each form, their model card, and nothing after a failure."""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from components import missing
from exported_networks import HAS_ONNX, assert_gives_the_same, rewrite, training_folder
from hand_made_blocks import EVERY_LAYER, RESIDUAL
from rich.console import Console
from torch import nn

import nni_blockqnn
from nni_blockqnn.blocks.block import Block
from nni_blockqnn.cli import main
from nni_blockqnn.commands.export import Steps
from nni_blockqnn.export import ExportError, export_network, network_source, new_folder
from nni_blockqnn.export import folder as folder_module
from nni_blockqnn.export._programs import (
    missing_onnx_packages,
)
from nni_blockqnn.network.spec import NetworkSpec
from nni_blockqnn.reports.model_card import code


def test_the_extra_onnx_is_here() -> None:
    if not HAS_ONNX:
        missing(f"{missing_onnx_packages()} missing: pip install -e '.[dev]'")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, nn.Module]:
    """What the command writes, and the network."""
    folder = tmp_path_factory.mktemp("export")
    one_stage = NetworkSpec("digits", filters=(4,))
    network = training_folder(folder / "trained", EVERY_LAYER, one_stage)
    assert main(["export", str(folder / "trained"), "-o", str(folder / "out" / "net")]) == 0
    return folder / "out" / "net", network


@pytest.mark.slow
def test_the_command_writes_a_folder(
    exported: tuple[Path, nn.Module], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, network = exported
    files = {"weights.safetensors", "network.json", "model.py", "program.pt2"}
    files |= {"README.md", "block.svg"} | ({"model.onnx"} if HAS_ONNX else set())
    assert {path.name for path in folder.iterdir()} == files
    assert [path.name for path in folder.parent.iterdir()] == ["net"]  # no scratch folder is left
    trained_folder = folder.parents[1] / "trained"
    for name in ("weights.safetensors", "network.json"):
        assert (folder / name).read_bytes() == (trained_folder / name).read_bytes()
    images = torch.randn(3, 1, 8, 8)
    assert torch.equal(nni_blockqnn.load(folder)(images), network(images))
    again = folder.parents[1] / "again"
    assert main(["export", str(folder), "-o", str(again), "--formats", "python"]) == 0
    assert {path.name for path in again.iterdir()} == files - {"program.pt2", "model.onnx"}
    assert (again / "model.py").read_bytes() == (folder / "model.py").read_bytes()
    assert "model.py" in capsys.readouterr().out


@pytest.mark.slow
def test_the_examples_of_the_model_card_run_without_this_package(
    exported: tuple[Path, nn.Module],
) -> None:
    folder, network = exported
    card = (folder / "README.md").read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert len(examples) == 4 + HAS_ONNX
    normalisation, *forms, naming = examples
    script = "\n".join(
        [
            "import sys; sys.modules['nni_blockqnn'] = None  # cannot be imported",
            "sys.dont_write_bytecode = True; sys.path.insert(0, '')",
            "import torch",
            "found = []",
            normalisation,
            *(f"{form}\nfound.append(logits.tolist())" for form in forms),
            naming,
            "import json, model",
            "assert torch.equal(model.preprocess(images), normalised)",
            "print(json.dumps([found, names, images.tolist()]))",
        ]
    )
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    found, names, shown = json.loads(run.stdout.splitlines()[-1])
    images = torch.tensor(shown)
    assert images.shape == (4, 1, 8, 8)
    with torch.no_grad():
        expected = network((images / 255 - 0.3) / 0.25)
    for logits in found:
        assert_gives_the_same(torch.tensor(logits), expected)
    assert names == [f"digit {label}" for label in expected.argmax(1)]


def test_the_model_card_says_what_is_known(exported: tuple[Path, nn.Module]) -> None:
    folder, network = exported
    lines = (folder / "README.md").read_text(encoding="utf-8").splitlines()
    weights = hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    parameters = sum(parameter.numel() for parameter in network.parameters())
    for line in (
        "| validation accuracy, best epoch | 93.50 % |",
        "| test accuracy | not measured |",
        f"| parameters | {parameters:,} |",
        "| seed | `7` |",
        "| `milestones` | `[1]` |",
        f"SHA-256 of `weights.safetensors`: `{weights}`",
        f"| `torch` | `{torch.__version__}` |",
        "| 1 | 0.3 | 0.25 |",
    ):
        assert line in lines
    assert not any("processes" in line for line in lines)
    assert EVERY_LAYER.to_json() in (folder / "README.md").read_text(encoding="utf-8")
    assert (folder / "block.svg").read_text(encoding="utf-8").count("5×5 conv</text>") == 1


@pytest.mark.parametrize(("channels", "mode"), [(1, "grey"), (3, "RGB")])
def test_the_model_card_says_how_images_of_a_folder_are_resized(
    tmp_path: Path, channels: int, mode: str
) -> None:
    spec = NetworkSpec("digits", input_shape=(channels, 8, 12))
    training_folder(tmp_path / "trained", spec=spec, dataset="image-folder")
    out = tmp_path / "out"
    assert main(["export", str(tmp_path / "trained"), "-o", str(out), "--formats", "python"]) == 0
    card = (out / "README.md").read_text()
    assert "upright, as their EXIF orientation says" in card
    assert f"as {mode}; those of another size than 8 x 12 (height, width)" in card
    assert "ImageOps.fit(image, (12, 8), Image.Resampling.BILINEAR)" in card


def test_a_trial_that_validated_on_the_test_set_says_so(tmp_path: Path) -> None:
    """Its accuracies are those of the test set, which it looked at after each epoch."""
    training_folder(tmp_path / "trained", validation="test")
    out = tmp_path / "out"
    assert main(["export", str(tmp_path / "trained"), "-o", str(out), "--formats", "python"]) == 0
    lines = (out / "README.md").read_text().splitlines()
    assert "| test-set accuracy, best epoch | 93.50 % |" in lines
    assert "| validated on | `test` |" in lines
    assert not any("trained on all training images" in line for line in lines)


def test_no_file_names_folders_of_this_machine(exported: tuple[Path, nn.Module]) -> None:
    package = str(Path(nni_blockqnn.__file__).parents[1]).encode()
    library = str(Path(torch.__file__).parents[1]).encode()
    for path in exported[0].iterdir():
        content = path.read_bytes()
        assert package not in content, path.name
        assert library not in content, path.name


def test_texts_of_the_training_cannot_become_code_or_markup(tmp_path: Path) -> None:
    evil = '""" + exit() # `</code>` | <script>alert(1)</script>\n## Heading {{ 7 * 7 }} \u202e'
    names = [evil, "", *("x" * 500 for _ in range(28))]
    spec = NetworkSpec("digits", classes=30)
    training_folder(
        tmp_path / "evil",
        spec=spec,
        class_names=names,
        dataset=evil,
        recipe={evil: evil},
        seed=[evil] * 1000,
        accuracy=evil,
        test_accuracy=10**400,
    )
    out = tmp_path / "out"
    assert main(["export", str(tmp_path / "evil"), "-o", str(out), "--formats", "python"]) == 0
    assert (out / "model.py").read_text() == network_source(RESIDUAL, spec)
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "exit()" in card
    outside_code = re.sub(r"```.*?```|`[^`\n]*`", "", card, flags=re.DOTALL)
    for trace in ("exit", "script", "Heading", "x" * 10):
        assert trace not in outside_code
    assert "\u202e" not in card
    assert "and 10 more" in card
    assert max(map(len, card.splitlines())) < 3_000


@pytest.mark.parametrize(
    ("value", "expected"),
    [("sgd", "`sgd`"), (0.1, "`0.1`"), ("a`b|c\nd", "`a'b/c d`"), ("", "` `"), ("\x00", "`?`")],
)
def test_values_as_code(value: Any, expected: str) -> None:
    assert code(value) == expected


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept")
    with pytest.raises(ExportError, match="exists already; name a folder"), new_folder(tmp_path):
        pass
    assert (tmp_path / "mine").read_text() == "kept"


@pytest.mark.slow
def test_what_a_killed_export_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    killed = "from nni_blockqnn.export import new_folder; import os, pathlib, signal\n"
    killed += "with new_folder(pathlib.Path('net')) as folder:\n"
    killed += "    (folder / 'half').touch(); os.kill(os.getpid(), signal.SIGKILL)"
    subprocess.run([sys.executable, "-c", killed], cwd=tmp_path, check=False)
    (left,) = tmp_path.iterdir()
    assert (left / "net" / "half").exists()
    others = [".net-00000000", ".net-abcdefgh"]  # of an earlier version, and somebody's own
    (tmp_path / others[0] / "net").mkdir(parents=True)
    (tmp_path / others[1]).mkdir()
    (tmp_path / others[1] / "thesis.tex").touch()
    (tmp_path / others[1] / "export.lock").touch()
    with new_folder(tmp_path / "net") as filled:
        at_work = filled.parent.name
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*others, at_work])
        with new_folder(tmp_path / "net"):  # another one leaves that which is being filled alone
            assert filled.is_dir()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*others, "net"])


@pytest.mark.slow
def test_the_command_says_what_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    training_folder(tmp_path / "trained")
    command = ["export", str(tmp_path / "trained"), "-o", str(tmp_path / "out")]
    assert main([*command, "--formats", "python", "program"]) == 0
    first, *files = capsys.readouterr().out.splitlines()  # no progress, which is for terminals
    assert first == f"wrote {tmp_path / 'out'}"
    assert {line.split()[0] for line in files} >= {"model.py", "program.pt2", "README.md"}


def test_a_terminal_sees_the_steps_and_the_time_left() -> None:
    file = io.StringIO()
    with Steps(Console(file=file, force_terminal=True, width=100)) as steps:
        steps.begin("reads trained")
        steps.begin("writes program.pt2")
    assert "17%" in file.getvalue()
    assert "writes program.pt2, 0 min 00 s left" in file.getvalue()


def test_a_failure_leaves_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    training_folder(tmp_path / "trained")
    out = tmp_path / "out"
    command = ["export", str(tmp_path / "trained"), "-o", str(out)]
    assert main([*command, "--formats", "pickle"]) == 1
    assert "formats must be of python, program, onnx, got 'pickle'" in capsys.readouterr().err
    rewrite(tmp_path / "trained", weights_sha256="0" * 64)
    assert main([*command, "--formats", "python"]) == 1
    assert "has the SHA-256" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["trained"]


def test_a_form_that_gives_something_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pooled_otherwise(block: Block, spec: NetworkSpec) -> str:
        source = network_source(block, spec)
        assert "count_include_pad=False" in source
        return source.replace("count_include_pad=False", "count_include_pad=True")

    training_folder(tmp_path / "trained", EVERY_LAYER)
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(folder_module, "network_source", pooled_otherwise)
    with pytest.raises(ExportError, match=r"model\.py gives other outputs than the network"):
        export_network(tmp_path / "trained", tmp_path / "out", ["python"])


@pytest.mark.slow
def test_without_the_extra_onnx_is_left_out_unless_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # what find_spec then calls missing
    training_folder(tmp_path / "trained")
    for name in ("out", "asked"):
        (tmp_path / name).mkdir()
    result = export_network(tmp_path / "trained", tmp_path / "out")
    (line,) = result.left_out
    assert "onnxruntime" in line
    assert line.endswith("not installed; pip install 'nni-blockqnn[onnx]'")
    assert not (tmp_path / "out" / "model.onnx").exists()
    with pytest.raises(ExportError, match=r"format onnx: .*not installed; pip install"):
        export_network(tmp_path / "trained", tmp_path / "asked", ["onnx"])
    assert not any((tmp_path / "asked").iterdir())
