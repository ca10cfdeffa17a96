// What npm `centrifuge` tells its user of a map, a line of JSON each: node read_map.mjs URL TOKEN CHANNEL
import { Centrifuge } from 'centrifuge';
import WebSocket from 'ws';

const [url, token, channel] = process.argv.slice(2);
const say = (line) => process.stdout.write(JSON.stringify(line) + '\n');

const client = new Centrifuge(url, {
  token,
  websocket: WebSocket,
  minReconnectDelay: 50,
  maxReconnectDelay: 300,
});
const map = client.newMapSubscription(channel, {
  pageSize: 3,
  minResubscribeDelay: 50,
  maxResubscribeDelay: 300,
});
map.on('sync', ({ entries }) => say({ sync: Object.fromEntries(entries.map((each) => [each.key, each.data])) }));
map.on('update', ({ key, data, removed }) => say({ key, data, removed: removed === true }));
map.on('subscribed', ({ recovered }) => say({ subscribed: recovered === true }));
map.subscribe();
client.connect();
