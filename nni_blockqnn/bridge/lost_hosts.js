// A host that goes silent or dies stops a whole remote search of NNI 3.0, which waits for its answer
// for ever, and NNI never looks for the host again. Loaded with NODE_OPTIONS=--require, this makes
// NNI's manager send trials only to hosts that answer, give a silent one up after a minute, and log in
// to a lost one again and again (docs/many_machines.md).
'use strict';
const Module = require('node:module');
const { setTimeout: sleep } = require('node:timers/promises');

const QUIET = 12_000; // two of NNI's heartbeats without an answer: no new trial is sent there
const SILENT = 60_000; // the host is given up
const AGAIN = 30_000; // between two logins to a lost host
const SSH = { keepaliveInterval: 10_000, keepaliveCountMax: 3 };

let tarball; // a module of NNI
const patches = new Map([
  ['/common/tarball.js', (all) => { tarball = all; }],
  ['/common/command_channel/rpc_util.js', ({ RpcHelper }) => patchRpc(RpcHelper)],
  ['/common/command_channel/websocket/connection.js', ({ WsConnection }) => patchPong(WsConnection)],
  ['/training_service/remote_v3/worker.js', ({ Worker }) => patchWorker(Worker)],
  ['/training_service/remote_v3/remote.js', (all) => patchService(all.RemoteTrainingServiceV3)],
  ['/training_service/v3/compat.js', ({ V3asV1 }) => patchScheduler(V3asV1)],
  ['/node_modules/ssh2/lib/client.js', patchSsh],
]);

const compile = Module._extensions['.js'];
Module._extensions['.js'] = function (module, filename) {
  compile(module, filename);
  for (const [name, patch] of patches) {
    if (filename.endsWith(name)) {
      patch(module.exports);
    }
  }
};

// How long a connection has heard nothing.
function quiet(connection) {
  connection.heard ??= Date.now();
  return Date.now() - connection.heard;
}

function answers(worker) {
  const connection = worker?.channel?.connection;
  return Boolean(connection) && worker.isReady === true && quiet(connection) < QUIET;
}

function patchPong(WsConnection) {
  const handlePong = WsConnection.prototype.handlePong;
  WsConnection.prototype.handlePong = function () {
    this.heard = Date.now();
    return handlePong.call(this);
  };
}

// What was asked of a host fails when the way there is closed.
function patchRpc(RpcHelper) {
  const waitResponse = RpcHelper.prototype.waitResponse;
  RpcHelper.prototype.waitResponse = function (id) {
    this.closed ??= new Promise((_, reject) => {
      this.channel.onClose((reason) => reject(new Error(`channel closed: ${reason}`)));
      this.channel.onError(reject);
    });
    this.closed.catch(() => {}); // nobody may wait
    return Promise.race([waitResponse.call(this, id), this.closed]);
  };
}

function patchWorker(Worker) {
  const setChannel = Worker.prototype.setChannel;
  Worker.prototype.setChannel = function (channel) {
    const timer = setInterval(() => {
      if (channel.connection && quiet(channel.connection) > SILENT) {
        channel.terminate(`no answer in ${SILENT / 1000} s`);
      }
    }, QUIET / 2);
    timer.unref();
    channel.onClose(() => clearInterval(timer));
    channel.onError(() => clearInterval(timer));
    return setChannel.call(this, channel);
  };
}

function patchService(Service) {
  // One host that cannot be started does not prevent the others.
  Service.prototype.start = async function () {
    await this.server.start();
    const machines = this.config.machineList;
    const started = await Promise.allSettled(machines.map((config) => this.launchOrForget(config)));
    if (!started.some(({ status }) => status === 'fulfilled')) {
      throw started[0].reason;
    }
    started.forEach(({ status, reason }, number) => {
      if (status === 'rejected') {
        this.log.error(`Host ${machines[number].host} is left out for now:`, reason);
        this.launchAgain(machines[number]);
      }
    });
    for (const worker of this.workers) {
      worker.isReady = true; // NNI uploads the code before it sends trials
    }
    return this.workers.map((worker) => worker.env);
  };

  Service.prototype.restartWorker = async function (oldWorker) {
    this.stopWorker(oldWorker, true);
    await this.launchAgain(oldWorker.config, 0);
  };

  // NNI leaves a worker that has not started among the others.
  Service.prototype.launchOrForget = async function (config) {
    const launched = this.launchWorker(config);
    const worker = this.workersByChannel.get(String(this.lastWorkerIndex));
    try {
      return await launched;
    } catch (error) {
      this.stopWorker(worker, true);
      worker.ssh.disconnect();
      throw error;
    }
  };

  Service.prototype.launchAgain = async function (config, pause = AGAIN) {
    for (; !this.stopping; pause = AGAIN) {
      await sleep(pause, undefined, { ref: false });
      try {
        const worker = await this.launchOrForget(config);
        for (const name of this.uploadedDirs) {
          await worker.upload(name, tarball.getTarballPath(name));
        }
        worker.isReady = true;
        this.emitEnvUpdate();
        this.log.info(`Host ${config.host} is back`);
        return;
      } catch (error) {
        this.log.warning(`Host ${config.host} is still lost:`, error);
      }
    }
  };

  const stop = Service.prototype.stop;
  Service.prototype.stop = function () {
    this.stopping = true;
    return stop.call(this);
  };
}

function patchScheduler(V3asV1) {
  const schedule = V3asV1.prototype.schedule;
  V3asV1.prototype.schedule = function () {
    const all = this.environments;
    const workers = this.v3.workersByEnv; // a local service has none
    this.environments = workers ? all.filter(({ id }) => answers(workers.get(id))) : all;
    try {
      return schedule.call(this);
    } finally {
      this.environments = all;
    }
  };
}

// A dead connection is noticed, and does not end the manager.
function patchSsh(Client) {
  const connect = Client.prototype.connect;
  Client.prototype.connect = function (config) {
    this.on('error', () => {});
    return connect.call(this, { ...SSH, ...config });
  };
}
