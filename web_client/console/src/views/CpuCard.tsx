/** The processor: one large number, the chart of all cores together, and a bar for each core. */
import { useMemo } from "preact/hooks";
import type { ChartSource } from "../charts/source";
import { TimeChart } from "../charts/TimeChart";
import { asText, NO_NUMBER, percent } from "../state/format";
import { coreBars } from "../state/hosts";
import { CPU } from "./metrics";

export function CpuCard({ source }: { readonly source: ChartSource }) {
  const data = useMemo(() => source.data(CPU.values, CPU.series.length, CPU.top), [source]);
  const sample = source.latest.value;
  const total = sample === undefined ? undefined : percent(sample.cpu.total);
  return (
    <article class="metric metric-cpu" data-metric="cpu" aria-labelledby="metric-cpu">
      <div class="cpu-side">
        <h3 id="metric-cpu">CPU</h3>
        <p class="cpu-total number" data-testid="cpu-total">
          {total?.number ?? NO_NUMBER}
          <span class="unit">%</span>
        </p>
        <Cores perCore={sample?.cpu.per_core} />
      </div>
      <TimeChart
        tall
        label="CPU of all cores, last five minutes"
        data={data}
        series={CPU.series}
        format={(value) => asText(CPU.quantity(value))}
        mark={CPU.mark}
      />
    </article>
  );
}

function Cores({ perCore }: { readonly perCore: readonly number[] | undefined }) {
  const bars = perCore === undefined ? [] : coreBars(perCore);
  const summary = bars.map(({ label, busy }) => `${label}: ${asText(percent(busy))}`).join(", ");
  return (
    <div class="cores" role="img" aria-label={perCore === undefined ? "Cores: not known yet" : `Cores. ${summary}`}>
      {bars.map(({ label, busy }) => (
        <span key={label} class={busy >= 90 ? "core core-full" : "core"} title={`${label}: ${asText(percent(busy))}`}>
          <span class="core-level" style={{ transform: `scaleY(${Math.max(0.02, busy / 100)})` }} />
        </span>
      ))}
    </div>
  );
}
