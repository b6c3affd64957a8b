// The Vercel AI SDK over its OpenAI-compatible provider, or over its provider for OpenAI itself.
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { AISDKError } from '@ai-sdk/provider';
import { Output, generateText, jsonSchema, stepCountIs, streamText, tool } from 'ai';
import { z } from 'zod';
import { CITY, IMAGE, TEXT, now, weather } from './tasks.mjs';

globalThis.AI_SDK_LOG_WARNINGS = false;

const KINDS = {
  compatible: (task) =>
    createOpenAICompatible({
      name: 'p402',
      baseURL: task.url,
      apiKey: task.key,
      includeUsage: Boolean(task.usage),
      supportsStructuredOutputs: true,
      transformRequestBody: (body) => ({ ...body, ...extra(task) }),
    }).chatModel(task.model),
  openai: (task) => createOpenAI({ baseURL: task.url, apiKey: task.key, fetch: extending(task) }).chat(task.model),
};

const extra = (task) => (task.p402 ? { p402: task.p402 } : {});

// The provider for OpenAI itself has no room for another field of the body, but lets `fetch` be replaced.
const extending = (task) => (url, init) =>
  fetch(url, task.p402 ? { ...init, body: JSON.stringify({ ...JSON.parse(init.body), ...extra(task) }) } : init);

export function adapter(kind) {
  function asked(task) {
    const content = task.image ? [{ type: 'text', text: TEXT }, { type: 'image', image: IMAGE }] : TEXT;
    return {
      model: KINDS[kind](task),
      messages: [{ role: 'user', content }],
      maxRetries: task.retries ?? 0,
      abortSignal: AbortSignal.timeout(1000 * (task.timeout ?? 30)),
      ...(task.system ? { system: task.system } : {}),
      ...(task.stop ? { stopSequences: [task.stop] } : {}),
      ...(task.logprobs ? { providerOptions: { openai: { logprobs: true } } } : {}),
      ...(task.headers ? { headers: task.headers } : {}),
      ...(task.tools ? { tools: { weather: tool({ inputSchema: jsonSchema(CITY) }) } } : {}),
    };
  }

  const usage = (found) => (found.inputTokens === undefined ? null : [found.inputTokens, found.outputTokens]);
  const calls = (found) => found.map((call) => [call.toolName, call.input]);
  const tokens = (found) => found?.openai?.logprobs?.map((token) => token.token);

  async function complete(task) {
    const found = await generateText({ ...asked(task), include: { responseBody: true } });
    return {
      text: found.text,
      texts: [found.text],
      finish: found.finishReason,
      calls: calls(found.toolCalls),
      usage: usage(found.usage),
      metadata: found.response.body?.p402_metadata,
      headers: found.response.headers,
      logprobs: tokens(found.providerMetadata),
      reasoning: found.reasoningText,
    };
  }

  async function stream(task, read) {
    let metadata;
    const found = streamText({ ...asked(task), includeRawChunks: true, onError: () => {} });
    for await (const part of found.fullStream) {
      if (part.type === 'error') throw part.error;
      if (part.type === 'text-delta') read.push(part.text);
      if (part.type === 'raw') metadata = part.rawValue?.p402_metadata ?? metadata;
    }
    return {
      text: await found.text,
      finish: await found.finishReason,
      calls: calls(await found.toolCalls),
      usage: usage(await found.usage),
      logprobs: tokens(await found.providerMetadata),
      reasoning: await found.reasoningText,
      metadata,
    };
  }

  async function tools(task) {
    const ran = [];
    const execute = async (given) => {
      ran.push(given);
      return weather(given);
    };
    const found = await generateText({
      ...asked(task),
      tools: { weather: tool({ inputSchema: jsonSchema(CITY), execute }) },
      stopWhen: stepCountIs(4),
    });
    return { text: found.text, ran };
  }

  async function structured(task) {
    const schema = z.object({ name: z.string(), people: z.number() });
    const found = await generateText({ ...asked(task), output: Output.object({ schema }) });
    return { value: found.output };
  }

  async function leave(task) {
    const away = new AbortController();
    const found = streamText({ ...asked(task), abortSignal: away.signal, onError: () => {} });
    for await (const _ of found.textStream) break;
    away.abort();
    return { left_s: now() };
  }

  const isOwn = (error) => AISDKError.isInstance(error) || ['TimeoutError', 'AbortError'].includes(error?.name);
  return { complete, stream, tools, structured, leave, isOwn };
}
