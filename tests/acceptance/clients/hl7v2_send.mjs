// An HL7 v2 client of others: `HL7V2_PEERS=… node hl7v2_send.mjs medplum|node-hl7-client PORT ENCODING < messages`.
// stdin is a JSON array of { text, returnAck }; the messages go over one connection, each after the answer to the one
// before. stdout is a JSON array with the text of each answer as the peer reads it, or { error }.
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';

const require = createRequire(join(resolve(process.env.HL7V2_PEERS), 'package.json'));
const TIMEOUT = 60_000; // ms

const clients = {
  async medplum(port, encoding) {
    const { Hl7Message } = require('@medplum/core');
    const { Hl7Client } = require('@medplum/hl7');
    const client = new Hl7Client({ host: '127.0.0.1', port, encoding });
    return async (message) => {
      const options = { timeoutMs: TIMEOUT, returnAck: message.returnAck };
      return String(await client.sendAndWait(Hl7Message.parse(message.text), options));
    };
  },

  async 'node-hl7-client'(port, encoding) {
    const { Client, Message } = require('node-hl7-client');
    const client = new Client({ host: '127.0.0.1', connectionTimeout: TIMEOUT });
    let answered;
    const connection = client.createConnection({ port, encoding }, async (answer) => {
      answered(answer.getMessage().toString());
    });
    await new Promise((connected) => connection.once('connect', connected));
    return (message) => {
      const answer = new Promise((done, failed) => {
        answered = done;
        setTimeout(() => failed(new Error('timeout')), TIMEOUT).unref();
      });
      void connection.sendMessage(new Message({ text: message.text }));
      return answer;
    };
  },
};

const [name, port, encoding] = process.argv.slice(2);
const send = await clients[name](Number(port), encoding);
const answers = [];
for (const message of JSON.parse(await text(process.stdin))) {
  answers.push(await send(message).catch((error) => ({ error: error.message })));
}
process.stdout.write(JSON.stringify(answers), () => process.exit(0)); // their timers would keep the process alive
