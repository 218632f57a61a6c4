/**
 * A line chart of the last minutes.
 *
 * uPlot draws on a canvas and lives outside Preact's tree: this component owns the element, makes the plot once, and
 * hands it data, size and theme as they change. The right edge is "now", so that silence shows as empty space.
 */
import { effect, type ReadonlySignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import type { Columns } from "../state/hosts";
import { paletteRevision } from "../theme";
import { plotOptions, type SeriesStyle } from "./options";

export interface ChartData {
  readonly columns: Columns;
  /** The ends of the time axis: epoch seconds, the host's clock. */
  readonly from: number;
  readonly to: number;
  readonly top: number;
}

export interface TimeChartProps {
  readonly label: string;
  readonly data: ReadonlySignal<ChartData>;
  readonly series: readonly SeriesStyle[];
  /** A value as the tooltip writes it. */
  readonly format: (value: number) => string;
  /** A value as the axis writes it: shorter. */
  readonly mark: (value: number) => string;
  readonly tall?: boolean;
}

export function TimeChart({ label, data, series, format, mark, tall = false }: TimeChartProps) {
  const element = useRef<HTMLDivElement>(null);

  useEffect(() => {
    const target = element.current;
    if (target === null) return undefined;
    return mount(target, { data, series, format, mark });
    // A chart's series and format are constants of the view that shows it.
  }, [data]);

  return <div ref={element} class={tall ? "chart chart-tall" : "chart"} role="img" aria-label={label} />;
}

type Mounted = Pick<TimeChartProps, "data" | "series" | "format" | "mark">;

/** The plot in `target`, kept up to date; the function returned takes it down. */
function mount(target: HTMLElement, { data, series, format, mark }: Mounted): () => void {
  const size = () => ({ width: target.clientWidth, height: target.clientHeight });
  const top = () => data.peek().top;
  const time = (): [number, number] => [data.peek().from, data.peek().to];
  const options = plotOptions({ series, format, mark, time, top, ...size() });
  const plot = new uPlot(options, data.peek().columns as uPlot.AlignedData, target);

  const stopData = effect(() => show(plot, target, data.value.columns));
  const stopTheme = effect(() => {
    if (paletteRevision.value > 0) plot.redraw(false);
  });
  const observer = new ResizeObserver(() => plot.setSize(size()));
  observer.observe(target);
  return () => {
    observer.disconnect();
    stopTheme();
    stopData();
    plot.destroy();
  };
}

function show(plot: uPlot, target: HTMLElement, columns: Columns): void {
  plot.setData(columns as uPlot.AlignedData);
  // For tests and for whoever debugs a page: how much the chart shows and how recent it is.
  target.dataset.points = String(columns[0].length);
  target.dataset.newest = String(columns[0].at(-1) ?? "");
}
