// What every JavaScript client is asked with: the same as ../python/tasks.py.
export const IMAGE =
  'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
export const TEXT = 'What is 2 + 2?';
export const CITY = {
  type: 'object',
  properties: { city: { type: 'string' } },
  required: ['city'],
  additionalProperties: false,
};
export const TOOL = {
  type: 'function',
  function: { name: 'weather', description: 'The weather in a city', parameters: CITY },
};
export const weather = ({ city }) => `${city}: sunny`;

// Seconds of the system's monotonic clock, which all processes of a host share.
export const now = () => Number(process.hrtime.bigint()) / 1e9;
