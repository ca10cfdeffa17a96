// The page of docs/http.md by npm's eventsource: `node read.mjs PAGE URL TICKETS CHANNEL...` prints a message a line.
// Tickets are asked of TICKETS, one GET each.
import { EventSource } from 'eventsource';

const [page, url, tickets, ...channels] = process.argv.slice(2);
const { listen } = await import(page);
const getTicket = async () => {
  const answer = await fetch(tickets);
  if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
  return await answer.text();
};
listen(url, channels, getTicket, (message) => process.stdout.write(`${JSON.stringify(message)}\n`), EventSource);
