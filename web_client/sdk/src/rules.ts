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
