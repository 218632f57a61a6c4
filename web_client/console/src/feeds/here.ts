/** Who has the console open, and the line that is shown to all of them: see schemas/console.yaml. */
import { computed, type ReadonlySignal } from "@preact/signals";
import type { ConsoleNotice } from "../contracts";
import type { Link } from "../link";
import { type Person, people } from "../state/here";

export interface HereFeed {
  /** One for each person, however many pages they have open. Nobody, before the node has told. */
  readonly people: ReadonlySignal<readonly Person[]>;
  readonly notice: ReadonlySignal<ConsoleNotice | undefined>;
}

export function hereFeed(link: Link): HereFeed {
  // To read the notice is to be here: the topic tells its readers.
  const notices = link.latest("console.notice");
  const members = link.latest("console.notice.members");
  const own = computed(() => {
    const connection = link.connection.value;
    return connection.phase === "open" ? connection.identity.authid : undefined;
  });
  return {
    people: computed(() => people(members.value.values.values(), own.value)),
    notice: computed(() => notices.value.values.values().next().value),
  };
}
