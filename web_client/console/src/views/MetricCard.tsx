/** One small chart with its numbers. */
import { useMemo } from "preact/hooks";
import type { SeriesStyle } from "../charts/options";
import type { ChartSource } from "../charts/source";
import { TimeChart } from "../charts/TimeChart";
import { asText, NO_NUMBER, type Quantity } from "../state/format";
import type { Metric } from "./metrics";

export interface CardProps {
  readonly metric: Metric;
  readonly source: ChartSource;
}

export function MetricCard({ metric, source }: CardProps) {
  const data = useMemo(() => source.data(metric.values, metric.series.length, metric.top), [metric, source]);
  const sample = source.latest.value;
  const values = sample === undefined ? undefined : metric.values(sample);
  return (
    <article class="metric" data-metric={metric.id} aria-labelledby={`metric-${metric.id}`}>
      <header class="metric-head">
        <h3 id={`metric-${metric.id}`}>{metric.title}</h3>
        <span class="metric-note">{sample === undefined ? "" : metric.note(sample)}</span>
      </header>
      <div class="readings">
        {metric.series.map((style, index) => (
          <Reading
            key={style.label}
            style={style}
            quantity={values === undefined ? undefined : metric.quantity(values[index] ?? 0)}
          />
        ))}
      </div>
      <TimeChart
        label={`${metric.title}, last five minutes`}
        data={data}
        series={metric.series}
        format={(value) => asText(metric.quantity(value))}
        mark={metric.mark}
      />
    </article>
  );
}

interface ReadingProps {
  readonly style: SeriesStyle;
  readonly quantity: Quantity | undefined;
}

function Reading({ style, quantity }: ReadingProps) {
  return (
    <div class="reading">
      <span class="reading-label">
        <Swatch style={style} />
        {style.label}
      </span>
      <span class="reading-value number">
        {quantity?.number ?? NO_NUMBER}
        <span class="unit">{quantity?.unit ?? ""}</span>
      </span>
    </div>
  );
}

/** The line's colour and its dashes, as the chart draws them. */
function Swatch({ style: { colour, dash } }: { readonly style: SeriesStyle }) {
  const [on, off] = dash ?? [1, 0];
  return <span class="swatch" style={{ "--swatch": `var(${colour})`, "--on": `${on}px`, "--off": `${off}px` }} />;
}
