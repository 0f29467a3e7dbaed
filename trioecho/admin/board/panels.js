// What the board shows: numbers, and panels with their lines, for a service and for a load.
"use strict";

const count = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

const whole = (value) => (value == null ? "-" : count.format(value));
const share = (value) => (value == null ? "-" : tenth.format(value));
const inMs = (value) => (value == null ? "-" : `${Number(value.toPrecision(value < 1 ? 3 : 4))} ms`);
const inBytes = (value) => {
  if (value == null) return "-";
  const units = ["B", "kB", "MB", "GB", "TB"];
  const power = value < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(value) / 3));
  return `${tenth.format(value / 1000 ** power)} ${units[power]}`;
};

const line = (label, key, number, dash = []) => ({ label, key, colour: `--line-${number}`, dash });
const TIMES = [line("p50", "p50", 1), line("p99", "p99", 2, [6, 3]), line("max", "max", 3, [2, 2])];

/** Of each kind of board: `numbers` are name, key and format; a panel's `lines` have keys of a sample. */
const BOARDS = {
  service: {
    numbers: [
      ["messages/s", "messages_per_s", whole],
      ["p50 of the service time", "p50", inMs],
      ["p99", "p99", inMs],
      ["connections", "connections", whole],
      ["bytes/s", "bytes_per_s", inBytes],
      ["blocked sends", "blocked_per_s", share],
      ["errors since the start", "error_count", whole],
      ["workers", "workers", whole],
    ],
    panels: [
      { title: "Messages per second", format: whole, lines: [line("messages/s", "messages_per_s", 1)] },
      { title: "Service time, ms", format: inMs, isLog: true, lines: TIMES },
      { title: "Service time, how often", format: inMs, isLog: true, hasHeat: true, lines: [line("p99", "p99", 2, [6, 3])] },
      { title: "Connections", format: whole, lines: [line("open", "connections", 1)] },
      {
        title: "Sends that wait for clients to read, on average",
        format: share,
        lines: [line("blocked", "blocked_per_s", 1)],
      },
      { title: "Errors per interval", format: whole, lines: [line("errors", "new_errors", 2)] },
    ],
  },
  load: {
    numbers: [
      ["messages/s right", "messages_per_s", whole],
      ["p50 from due", "p50", inMs],
      ["p99 from due", "p99", inMs],
      ["max", "max", inMs],
      ["in flight", "in_flight", whole],
      ["connections", "connections", whole],
      ["errors", "error_count", whole],
      ["right replies in all", "messages", whole],
    ],
    panels: [
      {
        title: "Messages per second",
        format: whole,
        lines: [line("right replies", "messages_per_s", 1), line("sent", "sent_per_s", 2, [6, 3])],
      },
      { title: "Latency, ms", format: inMs, isLog: true, lines: TIMES },
      { title: "Latency, how often", format: inMs, isLog: true, hasHeat: true, lines: [line("p99", "p99", 2, [6, 3])] },
      { title: "Latency by percentile, whole run, ms", format: inMs, isLog: true, isCurve: true },
      {
        title: "What clients wait, and the server's own service time, ms",
        format: inMs,
        isLog: true,
        needs: "server_mean",
        lines: [line("clients, mean", "mean", 1), line("server, mean", "server_mean", 2, [6, 3])],
      },
      {
        title: "Round trip of the path, as the kernel sees it, ms",
        format: inMs,
        isLog: true,
        needs: "rtt_p50",
        lines: [line("p50 of the connections", "rtt_p50", 1), line("max", "rtt_max", 3, [2, 2])],
      },
      {
        title: "Segments sent again per interval",
        format: whole,
        needs: "retransmits",
        lines: [line("segments", "retransmits", 2)],
      },
      {
        title: "Congestion window in segments, median of the connections",
        format: whole,
        needs: "window",
        lines: [line("window", "window", 1)],
      },
      {
        title: "Bytes that wait in send buffers, mean of a connection",
        format: inBytes,
        needs: "unsent",
        lines: [line("unsent", "unsent", 1)],
      },
      { title: "Errors per interval", format: whole, lines: [line("errors", "new_errors", 2)] },
    ],
  },
};
