// Scores to an order, as upimagine.choose.ranking does it: robust z-scores, clipped to ±3, weighted, added up.

const middleOf = (sorted) => {
  const half = (sorted.length - 1) / 2;
  return (sorted[Math.floor(half)] + sorted[Math.ceil(half)]) / 2;
};

export function robust(scores) {
  const finite = scores.filter((value) => value !== null);
  if (!finite.length) return scores;
  const middle = middleOf([...finite].sort((a, b) => a - b));
  let spread = middleOf(finite.map((value) => Math.abs(value - middle)).sort((a, b) => a - b)) * 1.4826;
  if (!spread) {
    const mean = finite.reduce((sum, value) => sum + value, 0) / finite.length;
    spread = Math.sqrt(finite.reduce((sum, value) => sum + (value - mean) ** 2, 0) / finite.length);
  }
  return scores.map((value) => value === null ? null : spread ? Math.max(-3, Math.min(3, (value - middle) / spread)) : 0);
}

// Indices, best first; those that a score with weight rules out come last.
export function ranked(standard, weights, count) {
  const total = new Float64Array(count);
  for (const [name, weight] of Object.entries(weights)) {
    if (!weight) continue;
    standard[name].forEach((value, index) => { total[index] += value === null ? -Infinity : weight * value; });
  }
  const worth = (index) => Number.isNaN(total[index]) ? -Infinity : total[index];
  return [...total.keys()].sort((a, b) => worth(b) - worth(a) || a - b);
}
