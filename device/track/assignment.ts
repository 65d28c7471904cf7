/**
 * Pairs rows with columns at least total cost; a row or column stays alone rather than pay more than `alone`.
 * Shortest augmenting paths with potentials (Jonker and Volgenant 1987), O(n³).
 * @param cost one array per row, all equally long; Infinity forbids a pair
 * @returns for each row its column, or −1
 */
export function assign(cost: readonly (readonly number[])[], alone: number): number[] {
  const rows = cost.length;
  const columns = cost[0]?.length ?? 0;
  if (rows === 0 || columns === 0) return Array.from({ length: rows }, () => -1);
  // Each row has a column of its own in which it is alone, so a full matching always exists.
  const width = columns + rows;
  const costOf = (row: number, column: number): number =>
    column < columns
      ? Math.min(FORBIDDEN, cost[row]![column]!)
      : column - columns === row
        ? alone
        : FORBIDDEN;

  const rowPotential = new Float64Array(rows + 1);
  const columnPotential = new Float64Array(width + 1);
  /** Row of each column, both counted from 1; 0 is free. */
  const rowOf = new Int32Array(width + 1);
  const cameFrom = new Int32Array(width + 1);
  for (let row = 1; row <= rows; row++) {
    const distance = new Float64Array(width + 1).fill(Infinity);
    const settled = new Uint8Array(width + 1);
    rowOf[0] = row;
    let column = 0;
    while (rowOf[column] !== 0) {
      settled[column] = 1;
      const from = rowOf[column]!;
      let nearest = 0;
      let step = Infinity;
      for (let c = 1; c <= width; c++) {
        if (settled[c]) continue;
        const reduced = costOf(from - 1, c - 1) - rowPotential[from]! - columnPotential[c]!;
        if (reduced < distance[c]!) {
          distance[c] = reduced;
          cameFrom[c] = column;
        }
        if (distance[c]! < step) {
          step = distance[c]!;
          nearest = c;
        }
      }
      for (let c = 0; c <= width; c++) {
        if (settled[c]) {
          rowPotential[rowOf[c]!]! += step;
          columnPotential[c]! -= step;
        } else distance[c]! -= step;
      }
      column = nearest;
    }
    for (; column !== 0; column = cameFrom[column]!) rowOf[column] = rowOf[cameFrom[column]!]!;
  }

  const columnOf = Array.from({ length: rows }, () => -1);
  for (let c = 1; c <= columns; c++) if (rowOf[c] !== 0) columnOf[rowOf[c]! - 1] = c - 1;
  return columnOf;
}

/** Dearer than any sum of real costs, yet finite, so that differences stay numbers. */
const FORBIDDEN = 1e6;
