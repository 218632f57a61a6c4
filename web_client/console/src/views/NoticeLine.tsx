/** The line for everybody at the console, until it is taken back or its reader has closed it. */
import { useState } from "preact/hooks";
import type { Console } from "../console";
import type { ConsoleNotice } from "../contracts";
import { CloseIcon } from "./icons";

export function NoticeLine({ model }: { readonly model: Console }) {
  const notice = model.here.notice.value;
  const [closed, setClosed] = useState<ConsoleNotice | undefined>(undefined);
  if (notice === undefined || notice === closed) return null;
  return (
    <div class="notice-line" data-testid="notice" role="status">
      <p>
        <bdi>{notice.text}</bdi> <bdi class="muted">{notice.by}</bdi>
      </p>
      <button type="button" class="icon-button" title="Close" onClick={() => setClosed(notice)}>
        <CloseIcon />
        <span class="sr-only">Close</span>
      </button>
    </div>
  );
}
