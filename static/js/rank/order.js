// The order in the making: letter → tier, 1 is best, 0 is unranked. Every function
// gives a new order and leaves the old one alone.
import { plural, words } from "./talk.js";

export const unranked = (tiers) => Object.keys(tiers).filter((l) => !tiers[l]);
export const highest = (tiers) => Math.max(0, ...Object.values(tiers));
export const mates = (tiers, letter) =>
  Object.keys(tiers).filter((l) => l !== letter && tiers[l] === tiers[letter]);
const withTier = (tiers, letter, tier) => ({ ...tiers, [letter]: tier });

const used = (tiers) =>
  [...new Set(Object.values(tiers))].filter(Boolean).sort((a, b) => a - b);
const mapped = (tiers, change) =>
  Object.fromEntries(Object.entries(tiers).map(([l, tier]) => [l, change(tier)]));

// Without empty tiers between the others; what is unranked stays so.
export function compacted(tiers) {
  const order = used(tiers);
  return mapped(tiers, (tier) => order.indexOf(tier) + 1);
}

// Alone in a new tier at `tier`; what stands there and below moves down. The tiers
// never outnumber the letters, or the selects could not say them.
export function insert(tiers, letter, tier) {
  const others = withTier(tiers, letter, 0);
  const taken = used(others).includes(tier);
  const pushed = mapped(others, (t) => (taken && t >= tier ? t + 1 : t));
  const order = withTier(pushed, letter, tier);
  return highest(order) > Object.keys(tiers).length ? compacted(order) : order;
}

// One tier up (step -1) or down (step 1): into the neighbour; past the end alone into
// a new tier. The same order comes back where there is nowhere to go.
export function shift(tiers, letter, step) {
  if (!tiers[letter]) return tiers;
  const order = used(tiers);
  const neighbour = order[order.indexOf(tiers[letter]) + step];
  if (neighbour) return withTier(tiers, letter, neighbour);
  if (!mates(tiers, letter).length) return tiers;
  return compacted(insert(tiers, letter, tiers[letter] + Math.max(step, 0)));
}

// The unranked letter after `letter`, from the front again after the last.
export function next(tiers, letter) {
  const left = unranked(tiers);
  return left.find((l) => l > letter) ?? left[0];
}

// "CA=B": C, then A and B tied. Other characters say nothing; a single letter that is
// left out comes last.
export function read(line, letters) {
  const tiers = Object.fromEntries(letters.map((l) => [l, 0]));
  let tier = 0;
  let tie = false;
  for (const c of line.toUpperCase()) {
    if (c === "=") tie = tier > 0;
    else if (tiers[c] === 0) {
      if (!tie) tier += 1;
      tiers[c] = tier;
      tie = false;
    }
  }
  const [last, more] = unranked(tiers);
  return last && !more && !tie ? withTier(tiers, last, tier + 1) : tiers;
}

export const write = (tiers) =>
  used(tiers)
    .map((tier) => Object.keys(tiers).filter((l) => tiers[l] === tier).join("="))
    .join(" > ");

// --- In words; "of N" counts the highest tier in use ------------------------------

const listed = (letters) => letters.join(", ").replace(/, (\w)$/, " and $1");

export const whereIs = (tiers, letter, key = "tier") =>
  words(tiers[letter] ? key : "unranked", tiers[letter]);

// A sentence about these letters, one or several.
export const about = (key, letters) => plural(key, letters.length, listed(letters));

function left(tiers) {
  const count = unranked(tiers).length;
  return ` ${words(count ? "left" : "pressEnter", count)}`;
}

export function placed(tiers, letter) {
  const tier = tiers[letter];
  if (!tier) return words("takenOut", letter) + left(tiers);
  const tied = mates(tiers, letter);
  const key = tied.length ? "tied" : "placed";
  return words(key, letter, tier, highest(tiers), listed(tied)) + left(tiers);
}

export const alone = (tiers, letter) =>
  words("alone", tiers[letter], letter, tiers[letter], highest(tiers)) + left(tiers);
