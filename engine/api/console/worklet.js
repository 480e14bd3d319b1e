// Sound in both directions, on the audio thread: 16-bit samples at 16 kHz, 20 ms at a time.
//
// To the page: { frame: ArrayBuffer } from the microphone, { mark: id } when all sound before the
// mark was played. From the page: { frame }, { mark }, { clear: true }.

const RATE = 16000;
const FRAME = 320; // 20 ms
// Frames come in pairs over a network; two in hand keep the sound whole and add 40 ms.
const IN_HAND = 2;

class Phone extends AudioWorkletProcessor {
  constructor() {
    super();
    this.step = sampleRate / RATE;
    this.taken = new Int16Array(FRAME);
    this.count = 0;
    this.sum = 0;
    this.weight = 0;
    this.phase = 0;
    this.waiting = []; // Int16Array, or the id of a mark
    this.place = 0; // in the first frame that waits
    this.playing = false;
    this.port.onmessage = ({ data }) => this.told(data);
  }

  told(data) {
    if (data.clear) {
      for (const item of this.waiting) if (!(item instanceof Int16Array)) this.port.postMessage({ mark: item });
      this.waiting = [];
      this.place = 0;
      this.playing = false;
    } else if (data.frame) {
      this.waiting.push(new Int16Array(data.frame));
    } else if (data.mark !== undefined) {
      this.waiting.push(data.mark);
      // A short piece of sound may be all there is: it shall not wait for more.
      this.playing = true;
    }
  }

  process([input], [output]) {
    if (input[0]) this.take(input[0]);
    this.give(output[0]);
    for (const more of output.slice(1)) more.set(output[0]);
    return true;
  }

  // The mean of the samples that fall together is filter enough for speech.
  take(samples) {
    for (const sample of samples) {
      this.sum += sample;
      this.weight += 1;
      this.phase += 1;
      if (this.phase < this.step) continue;
      this.phase -= this.step;
      const level = Math.max(-1, Math.min(1, this.sum / this.weight));
      this.sum = 0;
      this.weight = 0;
      this.taken[this.count++] = Math.round(level * 32767);
      if (this.count < FRAME) continue;
      const frame = this.taken.buffer;
      this.taken = new Int16Array(FRAME);
      this.count = 0;
      this.port.postMessage({ frame }, [frame]);
    }
  }

  give(out) {
    if (!this.playing && this.waiting.length >= IN_HAND) this.playing = true;
    for (let i = 0; i < out.length; i++) {
      this.passMarks();
      const frame = this.waiting[0];
      if (!this.playing || !frame) {
        this.playing = false;
        out[i] = 0;
        continue;
      }
      const at = Math.floor(this.place);
      const next = at + 1 < frame.length ? frame[at + 1] : frame[at];
      out[i] = (frame[at] + (next - frame[at]) * (this.place - at)) / 32768;
      this.place += 1 / this.step;
      if (this.place >= frame.length) {
        this.place -= frame.length;
        this.waiting.shift();
      }
    }
    this.passMarks();
  }

  passMarks() {
    while (this.waiting.length > 0 && !(this.waiting[0] instanceof Int16Array)) {
      this.port.postMessage({ mark: this.waiting.shift() });
    }
  }
}

registerProcessor("phone", Phone);
