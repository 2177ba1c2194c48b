// Emmett at the same work; runs in a folder of its own, where its packages are.
//
// Each writer adds versions to a stream of its own, at the version that it has seen.
// Then one projection counts all events into a table, a batch in a transaction.
// Prints one JSON object.
import { randomUUID } from 'node:crypto';
import { parseArgs } from 'node:util';
import { SQL } from '@event-driven-io/dumbo';
import {
  getPostgreSQLEventStore,
  postgreSQLEventStoreConsumer,
  postgreSQLProjector,
  postgreSQLRawBatchSQLProjection,
} from '@event-driven-io/emmett-postgresql';

const { values } = parseArgs({
  options: {
    postgres: { type: 'string' },
    writers: { type: 'string', default: '0' },
    seconds: { type: 'string' },
    text: { type: 'string', default: '' },
  },
});
const writers = Number(values.writers);
const seconds = Number(values.seconds);
const now = () => performance.now() / 1000;

const append = async () => {
  const store = getPostgreSQLEventStore(values.postgres);
  await store.schema.migrate();
  let done = 0;
  const began = now();
  const write = async () => {
    const persona_id = randomUUID();
    const stream = `persona-${persona_id}`;
    let version = 0n;
    while (now() < began + seconds) {
      const event = {
        type: 'VersionAdded',
        data: {
          persona_id,
          version: Number(version) + 1,
          background: values.text,
          preferred_language: 'en-GB',
          timezone: 'Europe/London',
        },
      };
      const result = await store.appendToStream(stream, [event], {
        expectedStreamVersion: version === 0n ? 'STREAM_DOES_NOT_EXIST' : version,
      });
      version = result.nextExpectedStreamVersion;
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: writers }, write));
  const passed = now() - began;
  await store.close();
  return { done, seconds: passed };
};

const catchUp = async () => {
  let done = 0;
  const projection = postgreSQLRawBatchSQLProjection({
    name: `count-${randomUUID()}`,
    canHandle: ['VersionAdded'],
    init: () =>
      SQL`CREATE TABLE IF NOT EXISTS counted (id int PRIMARY KEY, events bigint)`,
    evolve: (events) => {
      done += events.length;
      return [
        SQL`INSERT INTO counted VALUES (1, ${events.length})
            ON CONFLICT (id) DO UPDATE SET events = counted.events + ${events.length}`,
      ];
    },
  });
  const consumer = postgreSQLEventStoreConsumer({
    connectionString: values.postgres,
    stopWhen: { noMessagesLeft: true },
    pulling: { batchSize: 1000 },
    processors: [postgreSQLProjector({ projection, processorId: randomUUID() })],
  });
  const began = now();
  await Promise.race([
    consumer.start(),
    new Promise((resolve) => setTimeout(resolve, seconds * 1000)),
  ]);
  const passed = now() - began;
  await consumer.close();
  return { done, seconds: passed };
};

console.log(JSON.stringify(await (writers > 0 ? append() : catchUp())));
process.exit(0);
