// Samples of a microphone as PCM16 at the rate of a realtime connection, in pieces of 50 ms, each with how
// loud it is. Runs in the browser's audio thread.
class Microphone extends AudioWorkletProcessor {
  constructor({ processorOptions: { rate } }) {
    super();
    this.step = sampleRate / rate; // samples that are heard for each that is sent
    this.due = this.step;
    this.sum = 0;
    this.length = Math.round(rate / 20);
    this.begin();
  }

  begin() {
    this.piece = new Int16Array(this.length);
    this.filled = 0;
    this.power = 0;
  }

  // Each sample that is sent is the mean of what was heard for it.
  process([[heard]]) {
    for (const sample of heard ?? []) {
      let left = 1;
      while (left > 1e-9) {
        const taken = Math.min(left, this.due);
        this.sum += sample * taken;
        this.due -= taken;
        left -= taken;
        if (this.due > 1e-9) continue;
        this.put(this.sum / this.step);
        this.due = this.step;
        this.sum = 0;
      }
    }
    return true;
  }

  put(value) {
    this.power += value * value;
    this.piece[this.filled++] = Math.max(-1, Math.min(1, value)) * 0x7fff;
    if (this.filled < this.length) return;
    const { buffer } = this.piece, level = Math.sqrt(this.power / this.length);
    this.port.postMessage({ buffer, level }, [buffer]);
    this.begin();
  }
}
registerProcessor("microphone", Microphone);
