/** Something that begins and ends, again and again, at random moments. */
export class Story {
  readonly #random: () => number;
  readonly #tell: (n: number, isOn: boolean, utcMs: number) => void;
  #n = 0;
  #isOn = false;
  #nextUtcMs = 0;

  constructor(random: () => number, tell: (n: number, isOn: boolean, utcMs: number) => void) {
    this.#random = random;
    this.#tell = tell;
  }

  goOn(utcMs: number): void {
    if (utcMs < this.#nextUtcMs) return;
    this.#turn(utcMs);
    this.#nextUtcMs = utcMs + (this.#isOn ? 200 + this.#random() * 3000 : this.#random() * 1500);
  }

  end(utcMs: number): void {
    if (this.#isOn) this.#turn(utcMs);
  }

  #turn(utcMs: number): void {
    this.#isOn = !this.#isOn;
    if (this.#isOn) this.#n++;
    this.#tell(this.#n, this.#isOn, utcMs);
  }
}
