/** Pages that are connected to a real node until their test is over. */
import { afterEach } from "vitest";
import { WebSocket } from "ws";
import {
  type AnyProcedures,
  type AnyTopics,
  type ConnectOptions,
  connect,
  type Fabric,
  type FabricState,
} from "../src/index";

const opened: { close(): void }[] = [];

export function page<T = AnyTopics, P = AnyProcedures>(url: string, options: ConnectOptions = {}): Fabric<T, P> {
  const socket = (url: string, protocols: string[]): WebSocket => new WebSocket(url, protocols);
  const fabric = connect<T, P>({ url, socket, ...options });
  opened.push(fabric);
  return fabric;
}

afterEach(() => {
  for (const fabric of opened.splice(0)) fabric.close();
});

/** The next state that is like this. */
export function reaches(fabric: Fabric, isIt: (state: FabricState) => boolean): Promise<FabricState> {
  return new Promise((resolve) => {
    const end = fabric.state.subscribe((state) => {
      if (!isIt(state)) return;
      queueMicrotask(() => end());
      resolve(state);
    });
  });
}
