// NNI's manager gives its tuner 10 s to connect, which a busy machine may not keep. Loaded with
// NODE_OPTIONS=--require, this makes them 40. Every other timeout stays what it is.
'use strict';
const NNI_WAITS = 10000;
const WAITED = 40000;
const original = global.setTimeout;

global.setTimeout = function (callback, delay, ...args) {
  const isTuners = delay === NNI_WAITS && new Error().stack.includes('tuner_command_channel');
  return original(callback, isTuners ? WAITED : delay, ...args);
};
// what Node.js itself hangs on the function, such as its promise form
Object.defineProperties(global.setTimeout, Object.getOwnPropertyDescriptors(original));
