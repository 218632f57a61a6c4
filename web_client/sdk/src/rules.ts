import { LocalError } from "./errors.js";

/** The table at the foot of a machine: what it does with an input of a kind in a state. */
export type Rules<State extends string, Machine, In extends { readonly kind: string }, Effect> = {
  readonly [S in State]: {
    readonly [K in In["kind"]]?: (machine: Machine, input: Extract<In, { readonly kind: K }>) => Effect[];
  };
};

/** Does what the table says. @returns `undefined` where it says nothing about this input in this state. */
export function apply<State extends string, Machine, In extends { readonly kind: string }, Effect>(
  rules: Rules<State, Machine, In, Effect>,
  state: State,
  machine: Machine,
  input: In,
): Effect[] | undefined {
  type Rule = (machine: Machine, input: In) => Effect[];
  return (rules[state][input.kind as In["kind"]] as Rule | undefined)?.(machine, input);
}

/** What a machine that speaks a protocol is made of. */
export interface Protocol<State extends string, Machine, In extends { readonly kind: string }, Effect> {
  readonly rules: Rules<State, Machine, In, Effect>;
  /** What a received message is; `undefined`: none of the protocol's. */
  readonly read: (text: string) => In | undefined;
  /** What the peer said breaks the protocol. */
  readonly violated: (machine: Machine, message: string) => Effect[];
}

/**
 * A mistake of ours is thrown, one of the peer's ends the session. What still comes to a session that ended is dropped.
 *
 * @throws LocalError hopsack.usage: the input is not one for this state.
 */
export function advance<
  State extends string,
  Machine extends { readonly state: State | "ended" },
  In extends { readonly kind: string },
  Effect,
>(
  { rules, read, violated }: Protocol<State, Machine, In, Effect>,
  machine: Machine,
  input: In | { readonly kind: "received"; readonly text: string },
): Effect[] {
  if (!("text" in input)) {
    const effects = apply(rules, machine.state as State, machine, input as In);
    if (!effects) throw new LocalError("hopsack.usage", `a session that is ${machine.state} takes no ${input.kind}`);
    return effects;
  }
  if (machine.state === "ended") return [];
  const message = read(input.text);
  const effects = message && apply(rules, machine.state as State, machine, message);
  return effects ?? violated(machine, `${message?.kind ?? "no message"} for a session that is ${machine.state}`);
}
