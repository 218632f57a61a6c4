/** A watched folder: what is in it now, and what changed just now. */
import type { Console } from "../console";
import type { WatchFeed } from "../feeds/watch";
import { count } from "../state/format";
import type { Folder } from "../state/watch";
import { ChangeList } from "./ChangeList";
import { FileTree } from "./FileTree";
import { FolderIcon, PlugIcon } from "./icons";
import { Notice, Panel, RefusalNote, Skeleton } from "./Panel";

export function WatchPanel({ model }: { readonly model: Console }) {
  const { watch, page } = model;
  const folder = watch.shown.value;
  return (
    <Panel
      id="watch"
      title="Watched folder"
      stale={model.stale.value}
      meta={folder !== undefined && <Meta feed={watch} folder={folder} />}
    >
      {folder === undefined ? <Nothing feed={watch} /> : <Contents folder={folder} page={page} />}
    </Panel>
  );
}

function Meta({ feed, folder }: { readonly feed: WatchFeed; readonly folder: Folder }) {
  const roots = feed.roots.value;
  const names = roots.phase === "ready" ? roots.value : [folder.root];
  return (
    <>
      <span class="muted number">
        {folder.phase === "loading" && folder.entries.size === 0
          ? "reading…"
          : count(folder.entries.size, "entry", "entries")}
        {folder.truncated && ", cut short"}
      </span>
      {names.length > 1 ? (
        <label class="select">
          <span class="sr-only">Folder</span>
          <select
            value={folder.root}
            onChange={(event) => {
              feed.chosen.value = event.currentTarget.value;
            }}
          >
            {names.map((name) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        </label>
      ) : (
        <code class="tag">{folder.root}</code>
      )}
    </>
  );
}

function Contents({ folder, page }: { readonly folder: Folder; readonly page: Console["page"] }) {
  return (
    <div class="watch">
      <FileTree key={folder.root} folder={folder} />
      <div class="watch-side">
        <h3>Just now</h3>
        <ChangeList recent={folder.recent} clock={page.clock} />
      </div>
    </div>
  );
}

function Nothing({ feed }: { readonly feed: WatchFeed }) {
  const roots = feed.roots.value;
  switch (roots.phase) {
    case "loading":
      return (
        <div class="watch-empty">
          <Skeleton rows={6} label="Reading the watched folders" />
        </div>
      );
    case "failed":
      return roots.why.code === "hopsack.no_callee" ? (
        <div class="watch-empty">
          <Notice icon={<PlugIcon />} title="The watch service is not running">
            This panel fills by itself once it is. Start it with <code>./hopsack run services/watch</code>.
          </Notice>
        </div>
      ) : (
        <RefusalNote why={roots.why} />
      );
    case "ready":
      return (
        <div class="watch-empty">
          <Notice icon={<FolderIcon />} title="No folder is watched">
            Name some in <code>WATCH_ROOTS</code> of the watch service.
          </Notice>
        </div>
      );
  }
}
