// A web client as gamja is one: a control connection that learns the networks, a bound one for each of them, history
// asked for by time, own messages shown when they come back, read markers kept by the server. Anything it is sent that
// it did not ask for is an error on the console.
"use strict";

const WANTED = [
  "batch", "cap-notify", "draft/chathistory", "draft/event-playback", "draft/read-marker", "echo-message",
  "labeled-response", "message-tags", "no-implicit-names", "sasl", "server-time", "setname", "soju.im/bouncer-networks",
  "soju.im/bouncer-networks-notify",
];
const RETRY_MS = 100;
const PAGE = 100;
const byId = (id) => document.getElementById(id);
const url = new URLSearchParams(location.search).get("socket");
const connections = new Map(); // by network, "" for the control connection
const shown = new Map(); // message ids of each buffer
const latest = new Map(); // time of the newest message of each buffer
let seen = ""; // time of the newest message of all
let wanted = false;

function parse(line) {
  const tags = {};
  let rest = line;
  if (rest.startsWith("@")) {
    const end = rest.indexOf(" ");
    for (const item of rest.slice(1, end).split(";")) {
      const at = item.indexOf("=");
      tags[at < 0 ? item : item.slice(0, at)] = at < 0 ? "" : item.slice(at + 1);
    }
    rest = rest.slice(end + 1);
  }
  let source = "";
  if (rest.startsWith(":")) {
    const end = rest.indexOf(" ");
    source = rest.slice(1, end).split("!")[0];
    rest = rest.slice(end + 1);
  }
  const at = rest.indexOf(" :");
  const params = (at < 0 ? rest : rest.slice(0, at)).split(" ");
  if (at >= 0) params.push(rest.slice(at + 2));
  return { tags, source, command: params.shift(), params };
}

class Connection {
  constructor(network) {
    this.network = network;
    this.offered = [];
    this.batches = new Map();
    this.asked = new Map(); // what is done when the answer to a label has come
    this.labels = 0;
    this.nick = "";
    this.ready = false;
    this.joined = [];
    connections.set(network, this);
    this.socket = new WebSocket(url, ["text.ircv3.net"]);
    this.socket.onopen = () => {
      this.send("CAP LS 302");
      this.send("NICK al");
      this.send("USER al 0 * :al");
    };
    this.socket.onmessage = (event) => this.handle(parse(event.data));
    this.socket.onclose = () => this.closed();
  }

  send(line) {
    this.socket.send(line);
  }

  ask(line, done) {
    const label = `l${++this.labels}`;
    this.asked.set(label, done);
    this.send(`@label=${label} ${line}`);
  }

  closed() {
    if (connections.get(this.network) !== this) return;
    connections.delete(this.network);
    if (!this.network) byId("state").textContent = "disconnected";
    if (wanted) setTimeout(() => wanted && !connections.has(this.network) && new Connection(this.network), RETRY_MS);
  }

  handle(msg) {
    const batch = msg.tags.batch && this.batches.get(msg.tags.batch);
    if (msg.tags.batch && !batch) console.error("a batch nobody opened", msg);
    if (msg.command === "BATCH") {
      this.batch(msg, batch);
    } else if (batch) {
      batch.lines.push(msg);
    } else {
      this.line(msg);
      this.answered(msg.tags.label);
    }
  }

  batch(msg, outer) {
    const id = msg.params[0].slice(1);
    if (msg.params[0][0] === "+") {
      this.batches.set(id, { type: msg.params[1], target: msg.params[2], label: msg.tags.label, lines: [], outer });
      return;
    }
    const batch = this.batches.get(id);
    this.batches.delete(id);
    if (batch.type === "draft/chathistory-targets") {
      for (const line of batch.lines) this.history("AFTER", line.params[1], `timestamp=${this.since}`);
    } else {
      for (const line of batch.lines) this.line(line, batch);
    }
    this.answered(batch.label);
  }

  answered(label) {
    if (!label) return;
    if (!this.asked.has(label)) console.error("an answer to nothing", label);
    const done = this.asked.get(label);
    this.asked.delete(label);
    if (done) done();
  }

  line(msg, batch) {
    const handler = this[`on${msg.command}`];
    if (handler) handler.call(this, msg, batch);
    else if (/^(FAIL|4\d\d|90[245678])$/.test(msg.command)) console.error(msg.command, msg.params.join(" "));
  }

  onPING(msg) {
    this.send(`PONG :${msg.params[0]}`);
  }

  onCAP(msg) {
    const list = msg.params.at(-1).split(" ").filter(Boolean);
    if (msg.params[1] === "LS") {
      this.offered.push(...list.map((token) => token.split("=")[0]));
      if (msg.params[2] !== "*") {
        const missing = WANTED.filter((name) => !this.offered.includes(name));
        if (missing.length) console.error("not offered", missing);
        this.send(`CAP REQ :${WANTED.join(" ")}`);
        this.send("AUTHENTICATE PLAIN");
      }
    } else if (msg.params[1] === "NAK") {
      console.error("refused", list);
    }
  }

  onAUTHENTICATE() {
    const form = byId("sign-in");
    this.send(`AUTHENTICATE ${btoa(`\0${form.login.value}\0${form.password.value}`)}`);
  }

  on903() {
    if (this.network) this.send(`BOUNCER BIND ${this.network}`);
    this.send("CAP END");
  }

  on001(msg) {
    this.nick = msg.params[0];
  }

  on376() {
    this.onready();
  }

  on422() {
    this.onready();
  }

  onready() {
    if (this.ready) return;
    this.ready = true;
    if (!this.network) {
      byId("state").textContent = "connected";
      this.ask("BOUNCER LISTNETWORKS");
      return;
    }
    this.since = seen;
    if (seen) {
      this.ask(`CHATHISTORY TARGETS timestamp=${seen} timestamp=${new Date(Date.now() + 1000).toISOString()} ${PAGE}`);
    }
  }

  onBOUNCER(msg) {
    if (msg.params[0] !== "NETWORK") return;
    const [, id, attributes] = msg.params;
    const connected = attributes.split(";").includes("state=connected");
    if (connected && !connections.has(id)) new Connection(id);
  }

  onJOIN(msg, batch) {
    if (batch || msg.source !== this.nick) return;
    this.joined.push(msg.params[0]);
    const item = document.createElement("li");
    item.textContent = msg.params[0];
    byId("networks").append(item);
    if (!seen) this.history("LATEST", msg.params[0], "*");
  }

  history(kind, target, bound) {
    this.ask(`CHATHISTORY ${kind} ${target} ${bound} ${PAGE}`, () => {
      byId("networks").dataset.history = `${kind} ${target}`;
    });
  }

  onMARKREAD(msg) {
    let item = [...byId("markers").children].find((one) => one.dataset.target === msg.params[0]);
    if (!item) {
      item = document.createElement("li");
      item.dataset.target = msg.params[0];
      byId("markers").append(item);
    }
    item.textContent = `${msg.params[0]} ${msg.params[1]}`;
  }

  onPRIVMSG(msg) {
    const [target, text] = msg.params;
    if (msg.source === "BouncerServ") return;
    if (!msg.tags.time || !msg.tags.msgid) console.error("no time, or no id", msg);
    const buffer = target === this.nick ? msg.source : target;
    const known = shown.get(buffer) || new Set();
    shown.set(buffer, known);
    if (msg.tags.time > (latest.get(buffer) || "")) latest.set(buffer, msg.tags.time);
    if (msg.tags.time > seen) seen = msg.tags.time;
    if (known.has(msg.tags.msgid)) return; // came while its history was on the way
    known.add(msg.tags.msgid);
    const item = document.createElement("li");
    item.textContent = `${buffer} <${msg.source}> ${text}`;
    byId("log").append(item);
  }
}

byId("sign-in").onsubmit = (event) => {
  event.preventDefault();
  wanted = true;
  byId("networks").replaceChildren();
  new Connection("");
};

byId("disconnect").onclick = () => {
  wanted = false;
  for (const connection of connections.values()) connection.socket.close();
};

byId("say").onsubmit = (event) => {
  event.preventDefault();
  const form = event.target;
  const text = form.text.value;
  for (const [network, connection] of connections) {
    if (network) {
      connection.ask(`PRIVMSG ${form.target.value} :${text}`, () => {
        if (!byId("log").lastChild.textContent.endsWith(`> ${text}`)) console.error("not echoed", text);
      });
    }
  }
};

byId("read").onclick = () => {
  for (const [network, connection] of connections) {
    if (network) for (const [buffer, time] of latest) connection.send(`MARKREAD ${buffer} timestamp=${time}`);
  }
};
