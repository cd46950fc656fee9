"""Runs a notebook's code in the current folder, as Jupyter would: python run_notebook.py FILE.

Prints what each cell prints, and the value of its last expression. It stops at the first error.
"""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import Any


def run_notebook(path: Path) -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"]):
        if cell["cell_type"] == "code":
            run_cell("".join(cell["source"]), f"{path.name}, cell {number}", names)


def run_cell(code: str, place: str, names: dict[str, Any]) -> None:
    tree = ast.parse(code, place)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, place, "exec"), names)
    if isinstance(last, ast.Expr):
        value = eval(compile(ast.Expression(last.value), place, "eval"), names)
        if value is not None:
            print(value._repr_html_() if hasattr(value, "_repr_html_") else repr(value))


if __name__ == "__main__":
    run_notebook(Path(sys.argv[1]))
