/** The latest changes of a folder, newest first. */
import type { ReadonlySignal } from "@preact/signals";
import type { WatchChange } from "../contracts";
import { ago } from "../state/format";
import type { SeenChange } from "../state/watch";
import { FileName } from "./FileName";

const SHOWN = 30;

const KINDS: Readonly<Record<WatchChange["kind"], readonly [sign: string, word: string]>> = {
  created: ["+", "created"],
  modified: ["~", "changed"],
  deleted: ["−", "deleted"],
  moved: ["→", "moved away"],
  rescanned: ["↻", "read again"],
};

export interface ChangeListProps {
  readonly recent: readonly SeenChange[];
  readonly clock: ReadonlySignal<number>;
}

export function ChangeList({ recent, clock }: ChangeListProps) {
  if (recent.length === 0) return <p class="quiet">Nothing yet. Changes appear here as they happen.</p>;
  return (
    <ol class="changes" data-testid="changes">
      {recent.slice(0, SHOWN).map(({ serial, change }) => {
        const [sign, word] = KINDS[change.kind];
        return (
          <li key={serial} class="arriving">
            <span class={`sign sign-${change.kind}`} aria-hidden="true">
              {sign}
            </span>
            <span class="changes-path">
              <FileName name={change.path === "" ? change.root : change.path} />
            </span>
            <span class="changes-word">
              {word} <Age of={change.at} clock={clock} />
            </span>
          </li>
        );
      })}
    </ol>
  );
}

/** Its own component: only the words move with the clock, not the rows. */
function Age({ of, clock }: { readonly of: number; readonly clock: ReadonlySignal<number> }) {
  return <time class="number">{ago(of, clock.value)}</time>;
}
