// The official `openai` package.
import OpenAI from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { IMAGE, TEXT, TOOL, now, weather } from './tasks.mjs';

export const isOwn = (error) => error instanceof OpenAI.OpenAIError || error instanceof OpenAI.APIError;

// One for many tasks, as applications keep it.
const clients = new Map();
function client({ url, key, retries = 0, timeout = 30 }) {
  const name = JSON.stringify([url, key, retries, timeout]);
  if (!clients.has(name)) {
    clients.set(name, new OpenAI({ baseURL: url, apiKey: key, maxRetries: retries, timeout: 1000 * timeout }));
  }
  return clients.get(name);
}

function asked(task) {
  const content = task.image
    ? [{ type: 'text', text: TEXT }, { type: 'image_url', image_url: { url: IMAGE } }]
    : TEXT;
  const messages = [...(task.system ? [{ role: 'system', content: task.system }] : []), { role: 'user', content }];
  const given = { model: task.model, messages };
  for (const name of ['n', 'stop', 'logprobs']) if (name in task) given[name] = task[name];
  if (task.tools) given.tools = [TOOL];
  if (task.p402) given.p402 = task.p402;
  if (task.stream) given.stream = true;
  if (task.stream && task.usage) given.stream_options = { include_usage: true };
  return [given, { headers: task.headers }];
}

const usage = (found) => (found ? [found.prompt_tokens, found.completion_tokens] : null);

export async function complete(task) {
  const { data, response, request_id } = await client(task).chat.completions.create(...asked(task)).withResponse();
  const { message, finish_reason: finish, logprobs } = data.choices[0];
  return {
    text: message.content,
    request_id,
    texts: data.choices.map((choice) => choice.message.content),
    finish,
    calls: (message.tool_calls ?? []).map((call) => [call.function.name, JSON.parse(call.function.arguments)]),
    usage: usage(data.usage),
    metadata: data.p402_metadata,
    headers: Object.fromEntries(response.headers),
    logprobs: logprobs?.content.map((token) => token.token),
    reasoning: message.reasoning_content,
  };
}

export async function stream(task, read) {
  const found = { texts: [], calls: [], logprobs: [], reasoning: '', usage: null };
  for await (const chunk of await client(task).chat.completions.create(...asked({ ...task, stream: true }))) {
    for (const { index, delta, finish_reason: finish, logprobs } of chunk.choices) {
      if (delta.content) {
        found.texts[index] = (found.texts[index] ?? '') + delta.content;
        read.push(delta.content);
      }
      found.reasoning += delta.reasoning_content ?? '';
      found.finish = finish ?? found.finish;
      found.logprobs.push(...(logprobs?.content ?? []).map((token) => token.token));
      for (const call of delta.tool_calls ?? []) {
        found.calls[call.index] ??= ['', ''];
        found.calls[call.index][0] += call.function.name ?? '';
        found.calls[call.index][1] += call.function.arguments ?? '';
      }
    }
    if (chunk.usage) {
      if (found.usage) throw new Error('usage came twice');
      found.usage = usage(chunk.usage);
    }
    found.metadata = chunk.p402_metadata ?? found.metadata;
  }
  found.calls = found.calls.map(([name, text]) => [name, JSON.parse(text)]);
  return { text: found.texts[0], ...found };
}

// By the package's own loop, which runs the tools and asks again.
export async function tools(task) {
  const ran = [];
  const run = (given) => {
    ran.push(given);
    return weather(given);
  };
  const runner = client(task).chat.completions.runTools({
    ...asked(task)[0],
    tools: [{ type: 'function', function: { ...TOOL.function, parse: JSON.parse, function: run } }],
  });
  return { text: await runner.finalContent(), ran };
}

export async function structured(task) {
  const City = z.object({ name: z.string(), people: z.number().int() });
  const found = await client(task).chat.completions.parse({
    ...asked(task)[0],
    response_format: zodResponseFormat(City, 'City'),
  });
  return { value: found.choices[0].message.parsed };
}

export async function leave(task) {
  for await (const chunk of await client(task).chat.completions.create(...asked({ ...task, stream: true }))) {
    if (chunk.choices[0]?.delta.content) break;
  }
  return { left_s: now() };
}

export async function models(task) {
  const ids = [];
  for await (const model of client(task).models.list()) ids.push(model.id);
  const read = [];
  for (const name of [task.model, `${task.provider}/${task.model}`]) read.push((await client(task).models.retrieve(name)).id);
  return { ids, read };
}
