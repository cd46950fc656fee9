"""A trial that trains nothing, starts in milliseconds and talks to NNI as a real one does.

    python -I -S quick_trial.py TRUTH INTERMEDIATES

It imports neither PyTorch nor NNI: NNI's channel for trials is HTTP, and what a real trial sends
through it is sent here by hand, in the same order and each request answered before the next one:
the parameters are taken, asked for once more until NNI has recorded them (``bridge.channel``),
intermediate results are reported, the final one is kept in the trial's folder and reported. So
NNI's manager and the tuner have all the work of a real search (``manager_scale.py``); only the time
between is gone. TRUTH gets a line when the result is kept, which no fault of NNI's can take away.
"""
# ruff: noqa: PTH105, PTH118, PTH123

from __future__ import annotations

import json
import os
import socket
import sys
import time
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

RESULT_NAME = "blockqnn-result.json"
"""As in ``exchange.kept_results``, which takes longer to import than this trial to run."""
ATTEMPTS = 100


class Manager:
    """NNI's manager, on one connection."""

    def __init__(self, url: str) -> None:
        host, _, path = url.removeprefix("http://").partition("/")
        self.host, self.channel = host, f"/{path}"
        self.base = self.channel.partition("/env/")[0]
        address, _, port = host.partition(":")
        self._connection = socket.create_connection((address, int(port)), timeout=600)
        self._stream = self._connection.makefile("rb")

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        """Status and content of its answer."""
        content = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {self.host}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        self._connection.sendall(head.encode() + content)
        status = int(self._stream.readline().split()[1])
        headers = {}
        while line := self._stream.readline().strip():
            name, _, value = line.decode().lower().partition(":")
            headers[name] = value.strip()
        if headers.get("transfer-encoding") == "chunked":
            return status, self._chunks()
        return status, self._stream.read(int(headers.get("content-length", 0)))

    def _chunks(self) -> bytes:
        parts = []
        while size := int(self._stream.readline(), 16):
            parts.append(self._stream.read(size))
            self._stream.readline()
        self._stream.readline()
        return b"".join(parts)


def take_parameters(manager: Manager, trial: str) -> dict[str, Any]:
    """What NNI recorded for this trial, as ``bridge.channel.take_parameters`` does it."""
    manager.ask("PUT", manager.channel, {"type": "request_parameter"})
    while manager.ask("GET", manager.channel)[0] == 408:  # NNI has none for it yet
        pass
    for _ in range(ATTEMPTS):
        _, answer = manager.ask("GET", f"{manager.base}/api/v1/nni/trial-jobs/{trial}")
        if b'"hyperParameters"' in answer:  # it is empty while NNI does not know the trial
            return json.loads(json.loads(answer)["hyperParameters"][-1])
        time.sleep(0.02)
    raise RuntimeError(f"NNI has not recorded trial {trial}")


def report(
    manager: Manager, trial: str, number: int, kind: str, sequence: int, value: dict[str, Any]
) -> None:
    metric = {
        "parameter_id": number,
        "trial_job_id": trial,
        "type": kind,
        "sequence": sequence,
        "value": json.dumps(value),
    }
    status, answer = manager.ask(
        "PUT", manager.channel, {"type": "metric", "metric": json.dumps(metric)}
    )
    if status >= 400:
        raise RuntimeError(f"NNI answered {status} to a metric: {answer.decode()}")


def metric_of(parameters: dict[str, Any]) -> dict[str, Any]:
    """As ``tests/nni/soak_trial.py`` has it: different blocks have different rewards."""
    reward = zlib.crc32(parameters["block"].encode()) % 100_000 / 1000
    measured = {"default": reward, "accuracy": reward, "flops": 1, "params": 1}
    return measured | {name: parameters[name] for name in ("block", "repeats", "episode")}


def keep(metric: dict[str, Any]) -> None:
    path = os.path.join(os.environ["NNI_OUTPUT_DIR"], RESULT_NAME)
    with open(f"{path}.tmp", "w", encoding="utf-8") as file:
        json.dump({"fingerprint": "none", "metric": metric}, file)
    os.replace(f"{path}.tmp", path)


def note(truth: str, trial: str, metric: dict[str, Any]) -> None:
    line = {"phase": "kept", "trial": trial, "pid": os.getpid()}
    line |= {"episode": metric["episode"], "block": metric["block"], "reward": metric["default"]}
    file = os.open(truth, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(file, json.dumps(line).encode() + b"\n")
    os.close(file)


def main() -> None:
    truth, intermediates = sys.argv[1], int(sys.argv[2])
    trial = os.environ["NNI_TRIAL_JOB_ID"]
    manager = Manager(os.environ["NNI_TRIAL_COMMAND_CHANNEL"])
    record = take_parameters(manager, trial)
    metric, number = metric_of(record["parameters"]), record["parameter_id"]
    for epoch in range(intermediates):
        value = {"default": metric["default"], "epoch": epoch + 1, "loss": 1.0}
        report(manager, trial, number, "PERIODICAL", epoch, value)
    keep(metric)
    note(truth, trial, metric)
    report(manager, trial, number, "FINAL", 0, metric)


if __name__ == "__main__":
    main()
