/** The middle one of some numbers, or between the two in the middle; NaN of none. */
export function median (numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

/** The number that this share of all numbers is below, by the nearest rank; NaN of none. */
export function quantile (numbers: readonly number[], share: number): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

/** A number with so many digits behind the point. */
export function rounded (number: number, digits: number): number {
  return Number(number.toFixed(digits))
}
