"""Pickles of numpy arrays, read without running anything that a pickle names.

The CIFAR archives are pickles, and a pickle may name any function to be called. Here each of the
few names that an array's pickle contains stands for a function of this module that only takes bytes
apart; any other name is refused.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np

_INTEGERS = frozenset("iub")


def loads(content: bytes) -> Any:
    """The pickle's dicts, lists, strings, numbers and integer arrays; strings of Python 2 as bytes.

    Raises:
        pickle.UnpicklingError: if it names anything else, or is broken.
    """
    try:
        return _plain(_Unpickler(io.BytesIO(content), encoding="bytes").load())
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # a broken pickle may raise almost anything
        raise pickle.UnpicklingError(f"broken pickle ({type(error).__name__}: {error})") from error


class _Dtype:
    """Stands for numpy.dtype."""

    def __init__(self, code: str | bytes, align: Any = False, copy: Any = False) -> None:
        self.code = code.decode("ascii") if isinstance(code, bytes) else code
        self.order = "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order = state[1]
        self.order = order.decode("ascii") if isinstance(order, bytes) else order

    def numpy(self) -> np.dtype:
        dtype = np.dtype(f"{self.order}{self.code}")
        if dtype.kind not in _INTEGERS:
            raise pickle.UnpicklingError(f"arrays of {dtype} are refused, only integers are read")
        return dtype


class _Array:
    """Stands for numpy.ndarray, whose state it receives."""

    value: np.ndarray

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, is_fortran, content = state
        order = "F" if is_fortran else "C"
        self.value = _from_buffer(content, dtype, shape, order).value


def _reconstruct(_type: Any, _shape: Any, _code: Any) -> _Array:
    return _Array()


def _from_buffer(content: Any, dtype: _Dtype, shape: Any, order: Any) -> _Array:
    array = _Array()
    array.value = np.frombuffer(content, dtype.numpy()).reshape(shape, order=order)
    return array


def _scalar(dtype: _Dtype, content: bytes) -> int:
    return int(np.frombuffer(content, dtype.numpy())[0])


def _encode(text: str, encoding: str) -> bytes:
    """Python 3 writes bytes so in the older protocols."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"encoding {encoding!r} is refused")
    return text.encode("latin1")


_NAMES = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encode,
}
for _core in ("numpy.core", "numpy._core"):  # before and from numpy 2
    _NAMES |= {
        (f"{_core}.multiarray", "_reconstruct"): _reconstruct,
        (f"{_core}.multiarray", "scalar"): _scalar,
        (f"{_core}.numeric", "_frombuffer"): _from_buffer,
    }


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _NAMES:
            raise pickle.UnpicklingError(
                f"it names {module}.{name}, which no array needs, and is not run"
            )
        return _NAMES[module, name]


def _plain(value: Any) -> Any:
    """Dicts and lists with the arrays that their stand-ins hold."""
    if isinstance(value, _Array):
        return value.value
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
