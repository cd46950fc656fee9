"""NNI's manager goes on without hosts that are silent, dead, or not there at its start.

``bridge/lost_hosts.js`` changes NNI's own classes; here they run in NNI's own Node.js.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import nni_node
import pytest

from nni_blockqnn.bridge import launch

NNI = Path(nni_node.__file__).parent
PREPARE = """
require('app-module-path').addPath(process.cwd());
const {globals} = require('common/globals');
Object.assign(globals, {args: {logLevel: 'off'}, logStream: {writeLine() {}}});
const {EventEmitter} = require('node:events');
class Channel {
  events = new EventEmitter(); sent = []; name = 'x'; connection = {};
  onCommand(type, callback) { this.events.on(type, callback); }
  onClose(callback) { this.events.on('close', callback); }
  onError(callback) { this.events.on('error', callback); }
  onLost() {}
  send(command) { this.sent.push(command); }
}
"""


def run(script: str) -> Any:
    """What a script prints as JSON, with NNI's modules at hand."""
    changes = Path(launch.__file__).with_name("lost_hosts.js")
    ran = subprocess.run(
        [str(NNI / "node"), f"--require={changes}", "-e", PREPARE + script],
        cwd=NNI,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


def test_what_was_asked_of_a_host_fails_when_the_way_is_closed() -> None:
    """NNI would wait for ever, and with it the whole search."""
    said = run("""
    const {RpcHelper} = require('common/command_channel/rpc_util');
    const channel = new Channel();
    const answered = new RpcHelper(channel).call(1, 'createTrial', []);
    channel.events.emit('error', new Error('host is dead'));
    answered.catch((error) => console.log(JSON.stringify(error.message)));
    """)
    assert said == "host is dead"


def test_trials_go_to_hosts_that_answer() -> None:
    said = run("""
    const {V3asV1} = require('training_service/v3/compat');
    const now = Date.now();
    const worker = (heard) => ({channel: {connection: {heard}}, isReady: true});
    const lost = {channel: {connection: null}, isReady: true};
    const starting = {channel: {connection: {}}};
    const workers = {a: worker(now), silent: worker(now - 20_000), lost, starting, b: worker(now)};
    const ids = Object.keys(workers);
    const service = {
      environments: ids.map((id) => ({id})), lastEnvId: '',
      v3: {workersByEnv: new Map(Object.entries(workers))},
    };
    const chosen = [1, 2, 3].map(() => V3asV1.prototype.schedule.call(service));
    service.v3.workersByEnv = new Map();
    chosen.push(V3asV1.prototype.schedule.call(service));
    service.v3 = {};  // a local one
    chosen.push(V3asV1.prototype.schedule.call(service));
    console.log(JSON.stringify([...chosen, service.environments.length]));
    """)
    assert said == ["a", "b", "a", None, "silent", 5]


@pytest.mark.parametrize(
    ("machines", "expected"),
    [(["a", "dead", "b"], [["a", "b"], ["dead"], None]), (["dead"], [[], [], "dead is dead"])],
)
def test_a_dead_host_does_not_prevent_the_others(machines: list[str], expected: list[Any]) -> None:
    said = run(f"""
    const {{RemoteTrainingServiceV3}} = require('training_service/remote_v3/remote');
    const service = Object.assign(Object.create(RemoteTrainingServiceV3.prototype), {{
      server: {{start() {{}}}}, log: {{error() {{}}}}, workers: [], workersByTrial: new Map(),
      workersByChannel: new Map(), workersByEnv: new Map(), lastWorkerIndex: 0,
      emitter: new EventEmitter(),
      config: {{machineList: {json.dumps(machines)}.map((host) => ({{host}}))}},
      async launchWorker(config) {{
        const id = String(++this.lastWorkerIndex);
        const worker = {{channelId: id, envId: id, env: config.host, ssh: {{disconnect() {{}}}}}};
        this.workers.push(worker);
        this.workersByChannel.set(id, worker);
        await null;
        if (config.host === 'dead') throw new Error('dead is dead');
      }},
      launchAgain(config) {{ again.push(config.host); }},
    }});
    const again = [];
    service.start().then(
      (found) => console.log(JSON.stringify([
        service.workers.every((worker) => worker.isReady) && found, again, null,
      ])),
      (error) => console.log(JSON.stringify([service.workers, again, error.message])),
    );
    """)
    assert said == expected


def test_what_is_changed_is_still_there() -> None:
    """Methods that are called or replaced, by the module that has them."""
    changed = {
        "common/command_channel/rpc_util.js": ["async waitResponse(id)"],
        "common/command_channel/websocket/connection.js": ["handlePong()"],
        "common/command_channel/websocket/channel.js": ["terminate(reason)"],
        "training_service/remote_v3/worker.js": ["setChannel(channel)", "async upload(name, tar)"],
        "training_service/remote_v3/remote.js": [
            *("async start()", "async stop()", "stopWorker(oldWorker, emitEnvUpdate)"),
            *("async restartWorker(oldWorker)", "async launchWorker(config)"),
            "const channelId = String(this.lastWorkerIndex)",
        ],
        "training_service/remote_v3/ssh.js": ["disconnect()", "this.client.connect(sshConfig)"],
        "training_service/v3/compat.js": ["schedule()"],
        "common/tarball.js": ["getTarballPath"],
    }
    for module, parts in changed.items():
        source = (NNI / module).read_text(encoding="utf-8")
        assert [part for part in parts if part not in source] == []
