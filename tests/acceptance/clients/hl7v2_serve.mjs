// An HL7 v2 server of others: `HL7V2_PEERS=… node hl7v2_serve.mjs medplum|medplum-enhanced|node-hl7-server ENCODING`.
// The first line on stdout is { port }, then comes a line { control, text } for each message that it has taken.
// It answers AA (enhanced: CA, then AA) and ends with its stdin.
import { createRequire } from 'node:module';
import net from 'node:net';
import { join, resolve } from 'node:path';

const require = createRequire(join(resolve(process.env.HL7V2_PEERS), 'package.json'));
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

// Both listen on every address there is, whatever they are told: here on the loopback address and a free port.
const { listen } = net.Server.prototype;
net.Server.prototype.listen = function (_options, ...rest) {
  this.once('listening', () => say({ port: this.address().port }));
  return listen.call(this, { host: '127.0.0.1', port: 0 }, ...rest);
};

const servers = {
  medplum(encoding, enhanced = false) {
    const { Hl7Server } = require('@medplum/hl7');
    new Hl7Server((connection) => {
      connection.addEventListener('message', ({ message }) => {
        say({ control: message.getSegment('MSH').getField(10).toString(), text: message.toString() });
        connection.send(message.buildAck({ ackCode: 'AA' }));
      });
    }).start(0, encoding, enhanced);
  },

  'medplum-enhanced'(encoding) {
    servers.medplum(encoding, true);
  },

  'node-hl7-server'(encoding) {
    const { Server } = require('node-hl7-server');
    new Server({ bindAddress: '127.0.0.1' }).createInbound({ port: 1, encoding }, async (request, response) => {
      const message = request.getMessage();
      say({ control: message.get('MSH.10').toString(), text: message.toString() });
      await response.sendResponse('AA');
    });
  },
};

const [name, encoding] = process.argv.slice(2);
servers[name](encoding);
process.stdin.on('end', () => process.stdout.write('', () => process.exit(0))).resume();
