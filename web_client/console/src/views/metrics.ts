/** What the small charts show: how a value is picked from a sample, scaled and written. */
import type { SeriesStyle } from "../charts/options";
import type { HostSample } from "../contracts";
import { asText, bytes, percent, type Quantity, rate, roundBytes, threeDigits } from "../state/format";
import { ceiling } from "../state/hosts";

export interface Metric {
  readonly id: string;
  readonly title: string;
  readonly series: readonly SeriesStyle[];
  readonly values: (sample: HostSample) => readonly number[];
  /** The top of the value axis, from the highest value shown. */
  readonly top: (highest: number) => number;
  readonly quantity: (value: number) => Quantity;
  /** A value beside the axis: the title says what it is a rate of. */
  readonly mark: (value: number) => string;
  /** One more fact beside the numbers. */
  readonly note: (sample: HostSample) => string;
}

const LEAST_RATE = 1024;

const percentMark = (value: number) => `${Math.round(value)} %`;

const rateMark = (value: number) => (value === 0 ? "0" : asText(roundBytes(value)));

const topOfRate = (highest: number) => ceiling(highest, LEAST_RATE, 1024);

export const CPU: Metric = {
  id: "cpu",
  title: "CPU",
  series: [{ label: "All cores", colour: "--cpu", area: true }],
  values: ({ cpu }) => [cpu.total],
  top: () => 100,
  quantity: percent,
  mark: percentMark,
  note: ({ cpu }) => `${cpu.per_core.length} ${cpu.per_core.length === 1 ? "core" : "cores"}`,
};

export const METRICS: readonly Metric[] = [
  {
    id: "memory",
    title: "Memory",
    series: [{ label: "Used", colour: "--memory", area: true }],
    values: ({ memory }) => [memory.percent],
    top: () => 100,
    quantity: percent,
    mark: percentMark,
    note: ({ memory }) => `${asText(bytes(memory.used))} of ${asText(bytes(memory.total))}`,
  },
  {
    id: "load",
    title: "Load",
    series: [
      { label: "1 min", colour: "--load-1" },
      { label: "5 min", colour: "--load-5", dash: [7, 3] },
      { label: "15 min", colour: "--load-15", dash: [2, 3] },
    ],
    values: ({ load }) => load,
    top: (highest) => ceiling(highest, 1, 10),
    quantity: (value) => ({ number: threeDigits(value), unit: "" }),
    mark: (value) => String(value),
    note: ({ cpu }) => `${cpu.per_core.length} would be full`,
  },
  {
    id: "network",
    title: "Network",
    series: [
      { label: "Received", colour: "--received", area: true },
      { label: "Sent", colour: "--sent", dash: [5, 3] },
    ],
    values: ({ network }) => [network.received_bytes_per_s, network.sent_bytes_per_s],
    top: topOfRate,
    quantity: rate,
    mark: rateMark,
    note: () => "",
  },
  {
    id: "disk",
    title: "Disk",
    series: [
      { label: "Read", colour: "--read", area: true },
      { label: "Written", colour: "--written", dash: [5, 3] },
    ],
    values: ({ disk }) => [disk.read_bytes_per_s, disk.write_bytes_per_s],
    top: topOfRate,
    quantity: rate,
    mark: rateMark,
    note: ({ disk }) => `${asText(percent(disk.used_percent))} full`,
  },
];
