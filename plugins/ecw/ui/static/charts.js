// Charts as inline SVG in Airflow's colours, each with a text for screen readers.
import { C, h, number, useEffect, useRef, useState } from "./kit.js";

export const COLOURS = { changed: "var(--chakra-colors-blue-solid)", rejected: "var(--chakra-colors-orange-solid)", good: "var(--chakra-colors-green-solid)", bad: "var(--chakra-colors-red-solid)", quiet: "var(--chakra-colors-gray-solid)", warn: "var(--chakra-colors-orange-solid)" };

export const Legend = ({ series }) =>
  h(C.HStack, { gap: 4, wrap: "wrap", fontSize: "xs", color: "fg.muted", mt: 2 },
    ...series.map(({ name, colour }) => h(C.HStack, { key: name, gap: 1 }, h(C.Box, { as: "span", width: "10px", height: "10px", borderRadius: "2px", style: { background: colour }, "aria-hidden": true }), h("span", null, name))));

/** The upper end of an axis: a round number that is at least `most`. */
const axisEnd = (most) => {
  if (most <= 5) return 5;
  const size = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 2.5, 5, 10].map((step) => step * size).find((top) => top >= most);
};

/** The width of an element in pixels, so that the letters of a chart keep their size. */
const useWidth = (usual) => {
  const ref = useRef(null);
  const [width, setWidth] = useState(usual);
  useEffect(() => {
    if (!ref.current || !globalThis.ResizeObserver) return undefined;
    const observer = new ResizeObserver(([entry]) => setWidth(Math.max(160, Math.round(entry.contentRect.width))));
    observer.observe(ref.current);
    return () => observer.disconnect();
  }, []);
  return [ref, width];
};

/**
 * Stacked bars. `bars`: {label, title, values: [number per series]}; `series`: {name, colour}; `limit` draws a line.
 * `summary` is the text for screen readers.
 */
export const Bars = ({ bars, series, summary, limit, limitLabel, height = 150, every = 1 }) => {
  const [ref, width] = useWidth(560);
  const [left, bottom, top] = [40, 18, 14];
  const most = axisEnd(Math.max(limit ?? 0, ...bars.map((bar) => bar.values.reduce((sum, value) => sum + value, 0)), 1));
  const y = (value) => top + (height - top - bottom) * (1 - value / most);
  const step = (width - left) / Math.max(bars.length, 1);
  const wide = Math.max(1, Math.min(28, step * 0.72));
  const text = { style: { fontSize: "11px", fill: "var(--chakra-colors-fg-muted)" } };
  return h("figure", { ref, style: { margin: 0 } },
    h("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": summary, style: { width: "100%", height: "auto", display: "block" } },
      ...[0, most / 2, most].flatMap((value) => [
        h("line", { key: `line ${value}`, x1: left, x2: width, y1: y(value), y2: y(value), stroke: "var(--chakra-colors-border)", strokeWidth: 1 }),
        h("text", { key: `text ${value}`, x: left - 5, y: y(value) + 3, textAnchor: "end", ...text }, number(value))]),
      ...bars.map((bar, place) => {
        let sum = 0;
        const x = left + place * step + (step - wide) / 2;
        return h("g", { key: bar.label + place }, h("title", null, bar.title),
          h("rect", { x: left + place * step, y: top, width: step, height: height - top - bottom, fill: "transparent" }),
          ...bar.values.map((value, one) => {
            const from = sum;
            sum += value;
            return value ? h("rect", { key: one, x, width: wide, y: y(sum), height: Math.max(y(from) - y(sum), 0.5), fill: series[one].colour }) : null;
          }),
          place % (every * (width < 360 ? 2 : 1)) === 0 ? h("text", { x: x + wide / 2, y: height - 5, textAnchor: "middle", ...text }, bar.label) : null);
      }),
      limit ? h("g", null, h("line", { x1: left, x2: width, y1: y(limit), y2: y(limit), stroke: COLOURS.bad, strokeDasharray: "4 3", strokeWidth: 1 }), h("text", { x: width - 2, y: y(limit) - 3, textAnchor: "end", style: { fontSize: "11px", fill: "var(--chakra-colors-fg-error)" } }, limitLabel)) : null),
    h(Legend, { series: limit ? [...series, { name: limitLabel, colour: COLOURS.bad }] : series }));
};

/** Shares as horizontal bars. `rows`: {label, value, colour, to?}. */
export const Shares = ({ rows, summary, link }) => {
  const most = Math.max(1, ...rows.map((row) => row.value));
  return h(C.Box, { as: "dl", "aria-label": summary, display: "grid", gridTemplateColumns: "minmax(90px, max-content) 1fr max-content", columnGap: 3, rowGap: 1.5, alignItems: "center", fontSize: "sm" },
    ...rows.flatMap((row) => [
      h(C.Box, { as: "dt", key: `${row.label} name` }, row.label),
      h(C.Box, { as: "dd", key: `${row.label} bar`, "aria-hidden": true, height: "12px", borderRadius: "2px", style: { width: `${(100 * row.value) / most}%`, minWidth: row.value ? "2px" : 0, background: row.colour } }),
      h(C.Box, { as: "dd", key: `${row.label} value`, textAlign: "end", fontVariantNumeric: "tabular-nums" }, link ? link(row) : number(row.value))]));
};
