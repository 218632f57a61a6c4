/** How our charts look: uPlot's options, with every colour read from the style sheet at drawing time. */
import type uPlot from "uplot";
import { clockTime } from "../state/format";
import { colour } from "../theme";
import { tooltip } from "./tooltip";

export interface SeriesStyle {
  readonly label: string;
  /** The name of a custom property of the style sheet, such as `--cpu`. */
  readonly colour: string;
  /** Fill below the line. */
  readonly area?: boolean;
  readonly dash?: number[];
}

interface Look {
  readonly series: readonly SeriesStyle[];
  readonly format: (value: number) => string;
  readonly mark: (value: number) => string;
  /** The ends of the axes, asked for at every drawing. */
  readonly time: () => [from: number, to: number];
  readonly top: () => number;
  readonly width: number;
  readonly height: number;
}

const AXIS_FONT = '11px system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';
const Y_AXIS_WIDTH = 58;
const X_AXIS_HEIGHT = 24;
const MINUTE = 60;
const TIME_STEPS = [15, 30, MINUTE, 2 * MINUTE];

/** A label closer than this to the right edge would be cut, CSS pixels. */
const LABEL_ROOM = 20;

/** All charts of the page share this cursor: hovering one shows the same moment in all. */
const CURSOR_GROUP = "host";

export function plotOptions({ series, format, mark, time, top, width, height }: Look): uPlot.Options {
  return {
    width,
    height,
    padding: [8, 10, 0, 0],
    legend: { show: false },
    cursor: {
      y: false,
      drag: { x: false, y: false },
      sync: { key: CURSOR_GROUP, setSeries: false },
      points: { size: 7, width: 2 },
    },
    scales: {
      x: { time: true, range: time },
      y: { range: () => [0, top()] },
    },
    axes: [timeAxis(), valueAxis(mark)],
    series: [{}, ...series.map(lineOf)],
    plugins: [tooltip(series, format)],
  };
}

function lineOf(style: SeriesStyle): uPlot.Series {
  return {
    label: style.label,
    stroke: () => colour(style.colour),
    width: 1.75,
    ...(style.area === true ? { fill: () => translucent(colour(style.colour)) } : {}),
    ...(style.dash === undefined ? {} : { dash: style.dash }),
    points: { show: false },
  };
}

function translucent(value: string): string {
  return `color-mix(in srgb, ${value} 14%, transparent)`;
}

function timeAxis(): uPlot.Axis {
  return {
    stroke: () => colour("--chart-text"),
    grid: { show: false },
    ticks: { show: false },
    font: AXIS_FONT,
    size: X_AXIS_HEIGHT,
    gap: 8,
    splits: timeMarks,
    values: timeText,
  };
}

/** Round times, as far apart as their labels need. */
function timeMarks({ scales, over }: uPlot): number[] {
  const { min = 0, max = 0 } = scales.x ?? {};
  const pixels = over.clientWidth || 1;
  const step = TIME_STEPS.find((seconds) => (seconds * pixels) / (max - min) >= labelWidth(seconds)) ?? 2 * MINUTE;
  const last = max - (LABEL_ROOM * (max - min)) / pixels;
  const marks: number[] = [];
  for (let at = Math.ceil(min / step) * step; at <= last; at += step) marks.push(at);
  return marks;
}

/** Pixels from one label to the next: `14:03` or `14:03:30`. */
function labelWidth(step: number): number {
  return step < MINUTE ? 72 : 48;
}

function timeText(_: uPlot, marks: number[]): string[] {
  const whole = marks.every((at) => at % MINUTE === 0) && marks.length !== 1;
  return marks.map((at) => (whole ? clockTime(at).slice(0, 5) : clockTime(at)));
}

function valueAxis(mark: (value: number) => string): uPlot.Axis {
  return {
    stroke: () => colour("--chart-text"),
    grid: { stroke: () => colour("--chart-grid"), width: 1 },
    ticks: { show: false },
    font: AXIS_FONT,
    size: Y_AXIS_WIDTH,
    gap: 6,
    splits: (plot) => {
      const top = plot.scales.y?.max ?? 1;
      return [0, top / 2, top];
    },
    values: (_, splits) => splits.map(mark),
  };
}
