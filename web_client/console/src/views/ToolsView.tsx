/** Two tools for whoever builds on the fabric: read any topic, call any procedure. */
import type { Console } from "../console";
import { CallTool } from "./CallTool";
import { SubscriptionTool } from "./SubscriptionTool";

export function ToolsView({ model }: { readonly model: Console }) {
  return (
    <main class="tools">
      <h1 class="sr-only">Tools</h1>
      <SubscriptionTool model={model} />
      <CallTool model={model} />
    </main>
  );
}
