/* What the menu offers beside the chat itself: a sound, and the transcript as a file. */

import { clock, day, nameOf, plain } from "./log.js";

/** Two soft notes. Browsers allow sound only after the visitor touched the page, so it stays silent until `unlock`. */
export class Chime {
  #context = null;

  unlock() {
    const Context = window.AudioContext;
    if (!this.#context && Context) this.#context = new Context();
    void this.#context?.resume();
  }

  ring() {
    if (this.#context?.state !== "running") return;
    [660, 880].forEach((pitch, index) => {
      const start = this.#context.currentTime + index * 0.12;
      const tone = new OscillatorNode(this.#context, { frequency: pitch });
      const volume = new GainNode(this.#context, { gain: 0 });
      volume.gain.setValueAtTime(0, start);
      volume.gain.linearRampToValueAtTime(0.08, start + 0.02);
      volume.gain.exponentialRampToValueAtTime(0.0001, start + 0.25);
      tone.connect(volume).connect(this.#context.destination);
      tone.start(start);
      tone.stop(start + 0.3);
    });
  }
}

/** Write the whole conversation as plain text, a line a message, in the visitor's time. */
export function transcript(messages, settings) {
  const lines = [`Chat with ${settings.name}`, ""];
  let shown = "";
  for (const message of messages) {
    const name = day(message.at);
    if (name !== shown) lines.push(shown ? `\n${new Date(message.at).toDateString()}` : new Date(message.at).toDateString());
    shown = name;
    const who = message.author.kind === "user" ? "You" : nameOf(message.author, settings);
    lines.push(`${clock(message.at)}  ${who}: ${[message.text || plain(message), message.image].filter(Boolean).join(" ")}`);
  }
  return `${lines.join("\n")}\n`;
}

/** Hand `text` to the visitor as a file. */
export function save(text, name) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" }));
  const anchor = document.createElement("a");
  anchor.href = address;
  anchor.download = name;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
