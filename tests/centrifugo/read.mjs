// What npm `centrifuge` tells its user of one channel, a line of JSON each:
// node read.mjs TRANSPORT URL EMULATION TOKEN CHANNEL [protobuf]
import { EventSource } from 'eventsource';
import WebSocket from 'ws';

const [transport, endpoint, emulationEndpoint, token, channel, protobuf] = process.argv.slice(2);
const { Centrifuge } = await import(protobuf ? 'centrifuge/build/protobuf' : 'centrifuge');
const say = (line) => process.stdout.write(JSON.stringify(line) + '\n');
const text = (data) => (protobuf ? JSON.parse(new TextDecoder().decode(data)) : data);

const client = new Centrifuge([{ transport, endpoint }], {
  token,
  websocket: WebSocket,
  eventsource: EventSource,
  emulationEndpoint,
  timeout: 2000, // what was sent up as the link was cut is not answered
  minReconnectDelay: 50,
  maxReconnectDelay: 300,
});
client.on('error', (ctx) => say({ error: ctx.error }));
const subscription = client.newSubscription(channel, { minResubscribeDelay: 50, maxResubscribeDelay: 300 });
subscription.on('subscribed', (ctx) => say({ subscribed: ctx.recovered, recovering: ctx.wasRecovering }));
subscription.on('publication', (ctx) => say({ offset: Number(ctx.offset), data: text(ctx.data) }));
subscription.subscribe();
client.connect();
