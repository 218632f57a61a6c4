/** The box beside the crosshair: the time and every series' value there. Text only, placed through CSSOM. */
import type uPlot from "uplot";
import { clockTime, NO_NUMBER } from "../state/format";
import type { SeriesStyle } from "./options";

const DISTANCE = 12;

export function tooltip(series: readonly SeriesStyle[], format: (value: number) => string): uPlot.Plugin {
  const box = document.createElement("div");
  box.className = "chart-tip";
  box.hidden = true;
  const time = box.appendChild(document.createElement("div"));
  time.className = "chart-tip-time";
  const values = series.map((style) => row(box, style));

  return {
    hooks: {
      ready: (plot) => {
        plot.over.append(box);
      },
      setCursor: (plot) => {
        const at = plot.cursor.idx;
        const left = plot.cursor.left ?? -1;
        // The synchronised charts get the crosshair; only the one under the pointer gets the box.
        if (at == null || left < 0 || !plot.over.matches(":hover")) {
          box.hidden = true;
          return;
        }
        time.textContent = clockTime(plot.data[0][at] ?? 0);
        for (const [index, value] of values.entries()) {
          const number = plot.data[index + 1]?.[at];
          value.textContent = number == null ? NO_NUMBER : format(number);
        }
        box.hidden = false;
        place(box, left, plot.over.clientWidth);
      },
    },
  };
}

function row(box: HTMLElement, style: SeriesStyle): HTMLElement {
  const line = box.appendChild(document.createElement("div"));
  line.className = "chart-tip-row";
  const swatch = line.appendChild(document.createElement("span"));
  swatch.className = "swatch";
  const [on, off] = style.dash ?? [1, 0];
  swatch.style.setProperty("--swatch", `var(${style.colour})`);
  swatch.style.setProperty("--on", `${on}px`);
  swatch.style.setProperty("--off", `${off}px`);
  line.appendChild(document.createElement("span")).textContent = style.label;
  const value = line.appendChild(document.createElement("span"));
  value.className = "chart-tip-value";
  return value;
}

function place(box: HTMLElement, left: number, room: number): void {
  const width = box.offsetWidth;
  const onTheRight = left + DISTANCE + width <= room;
  const x = onTheRight ? left + DISTANCE : Math.max(0, left - DISTANCE - width);
  box.style.transform = `translateX(${Math.round(x)}px)`;
}
