/** The board's style. A team changes it by custom properties and by `::part(…)`. */
export const STYLE = `
:host {
  --board-card: light-dark(#fff, #181c23); --board-raised: light-dark(#f1f3f6, #222831); --board-line: light-dark(#e1e5ea, #2c333d);
  --board-ink: light-dark(#171c23, #e4e8ee); --board-faint: light-dark(#5b6673, #97a1ae);
  --board-running: light-dark(#1f5fd0, #6ea3ff); --board-finished: light-dark(#0f7336, #4cc07a); --board-failed: light-dark(#bb2525, #f57f7f); --board-queued: light-dark(#6b7684, #97a1ae); --board-wait: light-dark(#8a5700, #e4ab4a);
  display: grid; grid-template: auto auto auto minmax(0, 1fr) auto auto / minmax(0, 1fr) auto;
  color: var(--board-ink); background: var(--board-card); border: 1px solid var(--board-line); border-radius: 10px;
  font: 14px/1.45 system-ui, sans-serif; overflow: hidden; height: 40rem; container-type: inline-size; position: relative;
}
:host([hidden]), [hidden] { display: none !important; }
* { box-sizing: border-box; margin: 0; }
button, input { font: inherit; color: inherit; }
button { cursor: pointer; }
:focus-visible { outline: 2px solid var(--board-running); outline-offset: -2px; border-radius: 5px; }
[data-state=running] { --tone: var(--board-running) } [data-state=finished] { --tone: var(--board-finished) }
[data-state=failed] { --tone: var(--board-failed) } [data-state=queued], [data-state=other] { --tone: var(--board-queued) }
.top { grid-area: 1 / 1 / 2 / -1; display: flex; gap: .5rem; align-items: center; flex-wrap: wrap; padding: .6rem .8rem; border-bottom: 1px solid var(--board-line); }
.counts { display: flex; gap: .3rem; flex-wrap: wrap; }
.count { border: 1px solid transparent; background: none; border-radius: 99px; padding: .18rem .7rem; color: var(--board-faint); font-variant-numeric: tabular-nums; }
.count b { color: var(--tone); font-weight: 650; margin-right: .35em; }
.count[aria-pressed=true] { background: var(--board-raised); border-color: var(--board-line); color: var(--board-ink); }
.count:hover { border-color: var(--tone); }
.search { flex: 1 1 9rem; min-width: 0; max-width: 20rem; margin-left: auto; border: 1px solid var(--board-line); border-radius: 7px; padding: .25rem .6rem; background: var(--board-card); }
.notice { grid-area: 2 / 1 / 3 / -1; padding: .45rem .8rem; background: light-dark(#fdf1d8, #33270f); color: light-dark(#5f3c00, #f2cd86); font-variant-numeric: tabular-nums; }
.failures { grid-area: 3 / 1; overflow: auto; border-bottom: 1px solid var(--board-line); background: color-mix(in srgb, var(--board-failed) 7%, transparent); scrollbar-width: thin; scrollbar-gutter: stable; }
.list { grid-area: 4 / 1; overflow: auto; scrollbar-width: thin; scrollbar-gutter: stable; overscroll-behavior: contain; }
.rows { position: relative; }
.row { position: absolute; inset: 0 0 auto; height: 46px; display: grid; grid-template: 1fr 1fr / minmax(0, 1fr) minmax(5rem, 12rem) 5.2rem; column-gap: .9rem; align-items: center; padding: .3rem .9rem; border-bottom: 1px solid var(--board-line); contain: strict; }
.row:hover { background: var(--board-raised); }
.name { grid-row: 1; border: 0; background: none; padding: 0; text-align: left; font-weight: 600; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.name::after { content: ""; position: absolute; inset: 0; }
.id { display: none; }
.note { grid-area: 2 / 1 / 3 / 2; color: var(--board-faint); font-size: .9em; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.bar { grid-area: 1 / 2 / -1 / 3; height: 6px; border-radius: 3px; background: var(--board-line); overflow: hidden; }
.fill { display: block; height: 100%; background: var(--tone); transform: scaleX(0); transform-origin: left; border-radius: 3px; }
.badge { grid-area: 1 / 3 / -1 / 4; color: var(--tone); font-weight: 600; font-size: .92em; text-align: right; font-variant-numeric: tabular-nums; overflow: hidden; text-overflow: ellipsis; }
.empty { grid-area: 4 / 1; place-self: center; color: var(--board-faint); padding: 2rem; text-align: center; }
.fold { border: 0; border-top: 1px solid var(--board-line); background: none; grid-area: 5 / 1; padding: .4rem .9rem; text-align: left; color: var(--board-faint); }
.detail { grid-area: 3 / 2 / 6 / 3; width: 23rem; max-width: 48cqw; overflow: auto; scrollbar-width: thin; border-left: 1px solid var(--board-line); padding: .8rem 1rem 1.2rem; outline: none; }
.detail header { display: flex; justify-content: space-between; gap: 1rem; align-items: start; }
h3 { font-size: 1rem; overflow-wrap: anywhere; } h4 { font-size: .85em; color: var(--board-faint); margin: 1rem 0 .3rem; font-weight: 600; }
.close { border: 1px solid var(--board-line); border-radius: 6px; background: none; padding: .1rem .6rem; }
.facts { display: grid; grid-template-columns: 1fr 1fr; gap: .5rem 1rem; margin-top: .7rem; }
dt { color: var(--board-faint); font-size: .85em; } dd { overflow-wrap: anywhere; font-variant-numeric: tabular-nums; } [data-state] > dd { color: var(--tone); font-weight: 600; }
ol { list-style: none; padding: 0; }
.events li { padding: .22rem 0; border-bottom: 1px solid var(--board-line); overflow-wrap: anywhere; }
time { color: var(--board-faint); font-variant-numeric: tabular-nums; margin-right: .6em; font-size: .92em; } .events b { font-weight: 600; margin-right: .6em; }
.payload { background: var(--board-raised); border-radius: 6px; padding: .6rem; font: .85em ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
.link { grid-area: 6 / 1 / 7 / -1; border-top: 1px solid var(--board-line); padding: .45rem .9rem; display: grid; grid-template-columns: auto 1fr auto; gap: .3rem .9rem; align-items: center; }
.state { font-weight: 600; color: var(--board-wait); font-variant-numeric: tabular-nums; white-space: nowrap; }
.state::before { content: ""; display: inline-block; width: .55em; height: .55em; border-radius: 50%; background: currentColor; margin-right: .45em; }
.state[data-link=connected] { color: var(--board-finished); } .state[data-link=closed] { color: var(--board-failed); }
.timeline { position: relative; height: 8px; border-radius: 4px; background: var(--board-raised); overflow: hidden; }
.timeline i { position: absolute; top: 0; bottom: 0; background: var(--board-finished); opacity: .75; min-width: 2px; } .timeline i.away { background: var(--board-wait); opacity: 1; } .timeline i.loss { background: var(--board-failed); opacity: 1; }
.figures { color: var(--board-faint); font-size: .92em; font-variant-numeric: tabular-nums; text-align: right; }
.past { grid-column: 1 / -1; } .past summary { color: var(--board-faint); cursor: pointer; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; } .past ol { max-height: 8rem; overflow: auto; }
.past li { padding: .12rem 0; } .past [data-kind=bad] { color: var(--board-failed); }
.spoken { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
@container (max-width: 42rem) {
  .row { grid-template-columns: minmax(0, 1fr) 5.2rem; }
  .bar { grid-area: 2 / 2; } .badge { grid-area: 1 / 2; } .search { flex-basis: 100%; max-width: none; }
  .counts { gap: .15rem; } .count { padding: .18rem .5rem; font-size: .95em; } .count, .search, .close, .fold { min-height: 2.4rem; }
  .detail { grid-area: 1 / 1 / -1 / -1; position: absolute; inset: 0; width: auto; max-width: none; background: var(--board-card); border: 0; z-index: 2; }
  .link { grid-template-columns: 1fr auto; } .timeline { grid-column: 1 / -1; grid-row: 2; }
}
`;
