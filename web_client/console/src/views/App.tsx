/** The page: the header, one of two views, and the dialog over both. */
import type { ReadonlySignal } from "@preact/signals";
import type { Console } from "../console";
import { AlertsPanel } from "./AlertsPanel";
import { AskDialog } from "./AskDialog";
import { ClosedView } from "./ClosedView";
import { ConnectedPanel } from "./ConnectedPanel";
import { ConnectionsView } from "./ConnectionsView";
import { Header, type Route } from "./Header";
import { HostPanel } from "./HostPanel";
import { NoticeLine } from "./NoticeLine";
import { OperatorPanel } from "./OperatorPanel";
import { ToolsView } from "./ToolsView";
import { WatchPanel } from "./WatchPanel";

export function App({ model, route }: { readonly model: Console; readonly route: ReadonlySignal<Route> }) {
  return (
    <>
      <Header model={model} route={route} />
      <NoticeLine model={model} />
      <View model={model} route={route.value} />
      <AskDialog model={model} />
    </>
  );
}

function View({ model, route }: { readonly model: Console; readonly route: Route }) {
  const connection = model.link.connection.value;
  if (connection.phase === "closed")
    return <ClosedView link={model.link} reason={connection.reason} code={connection.code} />;
  switch (route) {
    case "dashboard":
      return <Dashboard model={model} />;
    case "connections":
      return <ConnectionsView model={model} />;
    case "tools":
      return <ToolsView model={model} />;
  }
}

function Dashboard({ model }: { readonly model: Console }) {
  return (
    <main class="dashboard">
      <h1 class="sr-only">Dashboard</h1>
      <div class="column">
        <HostPanel model={model} />
        <WatchPanel model={model} />
      </div>
      <div class="column">
        <AlertsPanel model={model} />
        <OperatorPanel model={model} />
        <ConnectedPanel model={model} />
      </div>
    </main>
  );
}
