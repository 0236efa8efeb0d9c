// What the tests of all clients share: the stage that tests/clients/stage has set, and what has gone over the wire.
import { setTimeout as sleep } from 'node:timers/promises';

/** The service itself, the proxy that speaks TLS in front of it, and the token for both. */
export const stage = {
  http: required('EDUCATION_CLIENT_HTTP'),
  https: required('EDUCATION_CLIENT_HTTPS'),
  token: required('EDUCATION_CLIENT_TOKEN'),
};

function required(name) {
  const value = process.env[name];
  if (!value) {
    throw new Error(`${name} is not set: run scripts/clients`);
  }
  return value;
}

/** An id that no entity has. */
export const unknownId = '6f1d0c5e-0000-4000-8000-000000000000';

/** A date that a school may be closed at, so near that waiting for it is no burden. The service keeps whole seconds. */
export function soon() {
  return new Date(Math.ceil(Date.now() / 1000 + 1) * 1000);
}

/** Waits until a date has passed, for the service's clock too. */
export async function passed(date) {
  await sleep(date.getTime() - Date.now() + 50);
}

/** The requests of global fetch since the last call of forget, each with the status of its response. */
export const exchanges = [];

export function forget() {
  exchanges.length = 0;
}

const send = globalThis.fetch;
globalThis.fetch = async (resource, options = {}) => {
  const response = await send(resource, options);
  exchanges.push({ url: String(resource?.url ?? resource), method: options.method, status: response.status });
  return response;
};
