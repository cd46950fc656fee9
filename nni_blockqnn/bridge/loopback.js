// NNI's web server listens on every address and asks for no password. Loaded with
// NODE_OPTIONS=--require, this makes it listen on the loopback address only (docs/security.md).
'use strict';
const net = require('net');
const listen = net.Server.prototype.listen;

net.Server.prototype.listen = function (...args) {
  const [first, second] = args;
  const isPort = typeof first === 'number' || (typeof first === 'string' && /^\d+$/.test(first));
  if (isPort) {
    args.splice(1, typeof second === 'string' ? 1 : 0, '127.0.0.1');
  } else if (first !== null && typeof first === 'object' && 'port' in first) {
    args[0] = Object.assign({}, first, { host: '127.0.0.1' });
  }
  return listen.apply(this, args);
};
