// Asks a JavaScript client for tasks in JSON lines; tasks and answers are as in ../python/driver.py.
import { createInterface } from 'node:readline';

const adapters = {
  openai: () => import('./openai.mjs'),
  ai: async () => (await import('./ai.mjs')).adapter('compatible'),
  'ai-openai': async () => (await import('./ai.mjs')).adapter('openai'),
};

// A client's exception as a user's `catch` sees it, with those that it wraps.
function told(error, read) {
  const chain = [];
  for (let e = error; e != null && chain.length < 10; e = e.lastError ?? e.cause) chain.push(e);
  const named = chain.find((e) => e.status ?? e.statusCode) ?? error;
  const headers = named.headers?.get ? Object.fromEntries(named.headers) : (named.responseHeaders ?? {});
  const classes = [];
  for (const e of chain) {
    for (let p = Object.getPrototypeOf(e); p && p !== Object.prototype; p = Object.getPrototypeOf(p)) {
      classes.push(p.constructor.name);
    }
    if (e.name) classes.push(e.name);
  }
  return {
    error: {
      classes,
      status: named.status ?? named.statusCode ?? null,
      code: named.code ?? named.data?.error?.code ?? null,
      param: named.param ?? named.data?.error?.param ?? null,
      request_id: named.requestID ?? null,
      retry_after: headers['retry-after'] ?? null,
      message: chain.map((e) => e.message ?? JSON.stringify(e)).join(' / '),
    },
    pieces: read,
  };
}

const adapter = await adapters[process.argv[2]]();
for await (const line of createInterface({ input: process.stdin })) {
  const task = JSON.parse(line);
  const read = [];
  let found;
  try {
    found = { pieces: read, ...(await adapter[task.do](task, read)) };
  } catch (error) {
    found = adapter.isOwn(error) ? told(error, read) : { fault: `${error?.stack ?? JSON.stringify(error)}` };
  }
  process.stdout.write(`${JSON.stringify(found)}\n`);
}
